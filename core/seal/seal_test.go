package seal_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
)

func generate(t *testing.T) *seal.Key {
	t.Helper()
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSealAndOpen(t *testing.T) {
	key := generate(t)
	for _, plain := range [][]byte{nil, []byte("calvin"), bytes.Repeat([]byte{0, 255}, 1<<17)} {
		sealed, err := key.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 0 && bytes.Contains(sealed, plain) {
			t.Error("the secret is in what was sealed")
		}
		if opened, err := key.Open(sealed); err != nil || !bytes.Equal(opened, plain) {
			t.Errorf("opened %d bytes of %d: %v", len(opened), len(plain), err)
		}
	}
	one, _ := key.Seal([]byte("calvin"))
	two, _ := key.Seal([]byte("calvin"))
	if bytes.Equal(one, two) {
		t.Error("one secret looks the same twice")
	}
}

func TestDigest(t *testing.T) {
	key, other := generate(t), generate(t)
	text := []byte("calvin")
	if !bytes.Equal(key.Digest(text), key.Digest(text)) || bytes.Equal(key.Digest(text), key.Digest([]byte("calvim"))) {
		t.Error("it does not tell two texts apart")
	}
	if sum := sha256.Sum256(text); bytes.Equal(key.Digest(text), other.Digest(text)) || bytes.Equal(key.Digest(text), sum[:]) {
		t.Error("it can be found without the key")
	}
}

func TestOpenRefuses(t *testing.T) {
	key := generate(t)
	sealed, err := key.Seal([]byte("calvin"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		key    *seal.Key
		sealed []byte
		want   core.Kind
	}{
		"another key":   {generate(t), sealed, core.Denied},
		"a flipped bit": {key, flipped, core.Invalid},
		"cut short":     {key, sealed[:len(sealed)-1], core.Invalid},
		"not sealed":    {key, []byte("calvin"), core.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := c.key.Open(c.sealed)
			if !core.Is(err, c.want) || plain != nil {
				t.Errorf("got %q, %v; want an error of kind %s", plain, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "calvin") {
				t.Errorf("%v tells the secret", err)
			}
		})
	}
}

func TestKeyPrintsAsItsFingerprint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	key, err := seal.LoadOrCreate("", file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(text[bytes.Index(text, []byte("AGE-SECRET-KEY-1")):]))
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		printed := fmt.Sprintf(format, key)
		if strings.Contains(printed, secret[20:40]) || !strings.Contains(printed, key.Fingerprint()) {
			t.Errorf("%s prints %s", format, printed)
		}
	}
	if len(key.Fingerprint()) != 16 || key.Fingerprint() == generate(t).Fingerprint() {
		t.Errorf("fingerprint %q", key.Fingerprint())
	}
}

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	secret := identity.String()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "# a comment\n\n"+secret+"\n", 0o600)
	for name, c := range map[string]struct {
		setting, file string
		want          core.Kind // "" where it is to be loaded
		says          string
	}{
		"file":                   {"", good, "", ""},
		"file, read only":        {"", file("ro", secret, 0o400), "", ""},
		"setting before file":    {good, "/nowhere", "", ""},
		"setting is the key":     {" " + secret + "\n", "/nowhere", "", ""},
		"setting is a file text": {"# comment\n" + secret + "\n", "/nowhere", "", ""},
		"missing":                {"", filepath.Join(folder, "missing"), core.NotFound, "missing does not exist"},
		"setting missing":        {filepath.Join(folder, "missing"), good, core.NotFound, "missing does not exist"},
		"read by the group":      {"", file("group", secret, 0o640), core.Denied, "chmod 600"},
		"read by others":         {"", file("others", secret, 0o604), core.Denied, "mode 0604"},
		"a directory":            {"", folder, core.Invalid, "is a directory"},
		"empty":                  {"", file("empty", "# only this\n", 0o600), core.Invalid, "holds no key"},
		"two keys":               {"", file("two", secret+"\n"+other.String()+"\n", 0o600), core.Invalid, "more than one key"},
		"public key":             {"", file("public", identity.Recipient().String(), 0o600), core.Invalid, "not an age X25519 key"},
		"cut short":              {"", file("short", secret[:40], 0o600), core.Invalid, "not an age X25519 key"},
		"setting cut short":      {secret[:40], good, core.Invalid, "METALPOOL_KEY holds something"},
		"setting mistyped":       {"AGE-SECRET_KEY" + secret[14:], good, core.Invalid, "METALPOOL_KEY holds something"},
		"another secret":         {"", file("ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\n"+secret[20:], 0o600), core.Invalid, "not an age X25519 key"},
		"one endless line":       {"", file("large", strings.Repeat("x", 1<<20), 0o600), core.Invalid, "cannot be read as a key"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := seal.Load(c.setting, c.file)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				var sealed bytes.Buffer
				w, err := age.Encrypt(&sealed, identity.Recipient())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write([]byte("by age itself")); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if plain, err := key.Open(sealed.Bytes()); err != nil || string(plain) != "by age itself" {
					t.Errorf("opened %q, %v", plain, err)
				}
				return
			}
			if !core.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want kind %s, saying %q", err, c.want, c.says)
			}
			if strings.Contains(err.Error(), secret[20:39]) {
				t.Errorf("%v tells the key", err)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	file := seal.FileOf(filepath.Join(folder, "pool.db"))
	made, err := seal.LoadOrCreate("", file)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{folder: 0o700, file: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, want)
		}
	}
	for name, load := range map[string]func(string, string) (*seal.Key, error){"Load": seal.Load, "LoadOrCreate": seal.LoadOrCreate} {
		if key, err := load("", file); err != nil || key.Fingerprint() != made.Fingerprint() {
			t.Errorf("%s returned %v, %v; want %v", name, key, err, made)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A key that was named, or is there but wrong, is never replaced by a new one.
	for name, c := range map[string]struct {
		setting, file string
		want          core.Kind
	}{
		"named and missing": {filepath.Join(folder, "missing"), filepath.Join(folder, "beside"), core.NotFound},
		"there and no key":  {"", file, core.Invalid},
		"no place for it":   {"", filepath.Join(file, "pool.db.key"), core.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			if key, err := seal.LoadOrCreate(c.setting, c.file); !core.Is(err, c.want) {
				t.Errorf("got %v, %v; want an error of kind %s", key, err, c.want)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "no key" {
		t.Errorf("the file was changed: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "beside")); err == nil {
		t.Error("a key was made though another was named")
	}
}

func TestRacingCreatorsAgree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool.db.key")
	keys := make([]*seal.Key, 16)
	var group errgroup.Group
	for i := range keys {
		group.Go(func() (err error) {
			keys[i], err = seal.LoadOrCreate("", file)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if key.Fingerprint() != keys[0].Fingerprint() {
			t.Errorf("one racer has %v, another %v", key, keys[0])
		}
	}
}
