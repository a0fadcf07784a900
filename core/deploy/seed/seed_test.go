package seed_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func private(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func ed25519Key(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return private(t, key)
}

func ecdsaKey(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private(t, key)
}

func publicKey(t testing.TB, comment string) string {
	t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(ed25519Key(t)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + comment
}

func sample(t testing.TB) core.Seed {
	return core.Seed{
		InstanceID: "attempt-1", Hostname: "web-1", User: "debian",
		Keys:     []string{publicKey(t, "web@example")},
		HostKeys: []string{ed25519Key(t), ecdsaKey(t)},
		MACs:     []string{"52:54:00:12:34:56", "52:54:00:12:34:AB"},
		UserData: []byte("#!/bin/sh\r\necho \xff verbatim\n"),
	}
}

func render(t testing.TB, s core.Seed) []byte {
	t.Helper()
	b, err := seed.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, image []byte) seed.Files {
	t.Helper()
	f, err := seed.Read(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// In the golden files a key's text is left out, since it is new for each run.
var (
	privateText = regexp.MustCompile(`(PRIVATE KEY-----\n\s+)[^-]*\n(\s+-----END)`)
	publicText  = regexp.MustCompile(`AAAA[A-Za-z0-9+/=]+`)
)

func TestGolden(t *testing.T) {
	full := sample(t)
	full.UserData = []byte("#!/bin/sh\necho hello\n")
	plain := core.Seed{InstanceID: "attempt-2", Hostname: "123", User: "root", HostKeys: []string{ed25519Key(t)}}
	const first, second = "52:54:00:12:34:56", "52:54:00:12:34:ab"
	declared := func(n core.Network) core.Seed {
		s := plain
		s.InstanceID, s.Network, s.MACs = "attempt-3", &n, []string{second}
		return s
	}
	static := core.Network{
		Ports: []string{first}, MTU: 9000, Address: netip.MustParsePrefix("10.1.0.7/24"), Gateway: netip.MustParseAddr("10.1.0.1"),
		DNS: []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("2001:db8::53")},
	}
	bond := static
	bond.Ports, bond.Bond, bond.VLAN = []string{first, second}, "802.3ad", 100
	for name, s := range map[string]core.Seed{
		"full": full, "plain": plain, "static": declared(static), "bond": declared(bond),
		"tagged": declared(core.Network{Ports: []string{first}, VLAN: 7}), "backup": declared(core.Network{Ports: []string{first, second}}),
	} {
		f := read(t, render(t, s))
		for file, got := range map[string][]byte{"meta-data": f.Meta, "user-data": f.User, "vendor-data": f.Vendor, "network-config": f.Network} {
			got = privateText.ReplaceAll(got, []byte("$1...\n$2"))
			got = publicText.ReplaceAll(got, []byte("AAAA..."))
			golden := filepath.Join("testdata", name, file)
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; go test -update writes it anew:\n%s", golden, got)
			}
		}
	}
}

func TestRenderIsReadBack(t *testing.T) {
	s := sample(t)
	image := render(t, s)
	if !bytes.Equal(image, render(t, s)) {
		t.Error("the same seed gave other bytes")
	}
	f := read(t, image)
	if !bytes.Equal(f.User, s.UserData) {
		t.Errorf("user data became %q", f.User)
	}
	meta, err := f.ParseMeta()
	if err != nil {
		t.Fatal(err)
	}
	if meta.InstanceID != s.InstanceID || meta.Hostname != s.Hostname || len(meta.Keys) != 1 || meta.Keys[0] != s.Keys[0] {
		t.Errorf("meta-data became %+v", meta)
	}
	vendor, err := f.ParseVendor()
	if err != nil {
		t.Fatal(err)
	}
	if vendor.User.Name != s.User || len(vendor.User.Keys) != 1 || vendor.User.Keys[0] != s.Keys[0] || vendor.Passwords {
		t.Errorf("vendor-data became a user %+v", vendor.User)
	}
	for i, kind := range []string{"ed25519", "ecdsa"} {
		if vendor.HostKeys[kind+"_private"] != s.HostKeys[i] {
			t.Errorf("the %s host key is not the one given", kind)
		}
		signer, err := ssh.ParsePrivateKey([]byte(s.HostKeys[i]))
		if err != nil {
			t.Fatal(err)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(vendor.HostKeys[kind+"_public"]))
		if err != nil || !bytes.Equal(public.Marshal(), signer.PublicKey().Marshal()) {
			t.Errorf("the %s host key's public half is another's (%v)", kind, err)
		}
	}
}

func TestKeysOneByLine(t *testing.T) {
	s := sample(t)
	a, b, c := publicKey(t, "a"), `from="10.0.0.1" `+publicKey(t, "b"), publicKey(t, "c")
	s.Keys = []string{"# mine\n" + a + "\r\n\n" + b + "\n", c}
	meta, err := read(t, render(t, s)).ParseMeta()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(meta.Keys, "|"); got != a+"|"+b+"|"+c {
		t.Errorf("keys %q", got)
	}
}

func TestRenderRefuses(t *testing.T) {
	secret := ed25519Key(t)
	tests := []struct {
		name   string
		change func(*core.Seed)
		want   string
	}{
		{"no instance", func(s *core.Seed) { s.InstanceID = "" }, "instance"},
		{"no hostname", func(s *core.Seed) { s.Hostname = "" }, "no host name"},
		{"hostname with a space", func(s *core.Seed) { s.Hostname = "a b" }, "not a host name"},
		{"hostname with a newline", func(s *core.Seed) { s.Hostname = "a\nb" }, "not a host name"},
		{"hostname with an underscore", func(s *core.Seed) { s.Hostname = "a_b" }, "not a host name"},
		{"hostname ends in a hyphen", func(s *core.Seed) { s.Hostname = "a-.b" }, "not a host name"},
		{"hostname with an empty part", func(s *core.Seed) { s.Hostname = "a..b" }, "not a host name"},
		{"hostname with a long part", func(s *core.Seed) { s.Hostname = strings.Repeat("a", 64) }, "not a host name"},
		{"long hostname", func(s *core.Seed) { s.Hostname = strings.Repeat("a.", 127) + "a" }, "the most is 253"},
		{"no user", func(s *core.Seed) { s.User = "" }, "no login user"},
		{"user with a colon", func(s *core.Seed) { s.User = "a:b" }, "not a user's name"},
		{"user is a flag", func(s *core.Seed) { s.User = "-r" }, "not a user's name"},
		{"user in capitals", func(s *core.Seed) { s.User = "Bob" }, "not a user's name"},
		{"user with a letter of two bytes", func(s *core.Seed) { s.User = "ü" }, "not a user's name"},
		{"key is text", func(s *core.Seed) { s.Keys = append(s.Keys, "hello") }, "SSH key 2, line 1"},
		{"key on a later line", func(s *core.Seed) { s.Keys = []string{s.Keys[0] + "\nssh-ed25519 AAAA\n"} }, "SSH key 1, line 2"},
		{"private key as a key", func(s *core.Seed) { s.Keys = []string{secret} }, "ends in .pub"},
		{"too many keys", func(s *core.Seed) { s.Keys = []string{strings.Repeat(s.Keys[0]+"\n", seed.MaxKeys+1)} }, "more than 1000"},
		{"port without a MAC", func(s *core.Seed) { s.MACs = []string{"eth0"} }, "is not a MAC"},
		{"port of another kind", func(s *core.Seed) { s.MACs = []string{"00:11:22:33:44:55:66:77"} }, "is not a MAC"},
		{"no host keys", func(s *core.Seed) { s.HostKeys = nil }, "no SSH host keys"},
		{"host key is text", func(s *core.Seed) { s.HostKeys = []string{"hello"} }, "SSH host key 1"},
		{"two host keys of a type", func(s *core.Seed) { s.HostKeys = append(s.HostKeys, secret) }, "SSH host key 3"},
		{"large user data", func(s *core.Seed) { s.UserData = make([]byte, seed.MaxUserData+1) }, "the most is 1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sample(t)
			tt.change(&s)
			_, err := seed.Render(s)
			if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want an invalid one with %q", err, tt.want)
			}
			for _, line := range strings.Split(secret, "\n")[1:3] {
				if strings.Contains(err.Error(), line) {
					t.Errorf("the error shows a private key: %v", err)
				}
			}
		})
	}
}

func TestLargestSeedFitsItsPartition(t *testing.T) {
	s := sample(t)
	s.UserData = bytes.Repeat([]byte("x"), int(seed.MaxUserData))
	for len(s.Keys) < seed.MaxKeys {
		s.Keys = append(s.Keys, s.Keys[0])
	}
	if n := core.Bytes(len(render(t, s))); n > wire.SeedSize {
		t.Errorf("%s", n)
	}
}

func TestReadRefuses(t *testing.T) {
	image := render(t, sample(t))
	other := bytes.Replace(image, []byte("cidata"), []byte("config"), 1)
	for name, image := range map[string][]byte{
		"nothing":       nil,
		"another label": other,
		"cut":           image[:len(image)-4096],
		"no meta-data":  bytes.ReplaceAll(image, []byte("meta-data"), []byte("mate-data")),
	} {
		if _, err := seed.Read(bytes.NewReader(image)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzReadSeed(f *testing.F) {
	f.Add(render(f, sample(f)))
	f.Fuzz(func(t *testing.T, image []byte) {
		files, err := seed.Read(bytes.NewReader(image))
		if err != nil {
			return
		}
		if _, err := files.ParseMeta(); err == nil && len(files.Meta) > len(image) {
			t.Error("meta-data is larger than its image")
		}
		_, _ = files.ParseVendor()
	})
}

func FuzzRender(f *testing.F) {
	f.Add("id", "host", "user", "", []byte("data"))
	hostKey := ed25519Key(f)
	f.Fuzz(func(t *testing.T, id, hostname, user, key string, data []byte) {
		image, err := seed.Render(core.Seed{InstanceID: id, Hostname: hostname, User: user, Keys: []string{key}, HostKeys: []string{hostKey}, UserData: data})
		if err != nil {
			return
		}
		files := read(t, image)
		if len(data) > 0 && !bytes.Equal(files.User, data) {
			t.Errorf("user data %q became %q", data, files.User)
		}
		if meta, err := files.ParseMeta(); err != nil || meta.Hostname != hostname {
			t.Errorf("hostname %q became %q, %v", hostname, meta.Hostname, err)
		}
		if vendor, err := files.ParseVendor(); err != nil || vendor.User.Name != user || vendor.HostKeys["ed25519_private"] != hostKey {
			t.Errorf("vendor-data became %v", err)
		}
	})
}
