package handover

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/metalpool/metalpool/internal/needs"
)

// emulator starts a TPM in software, as it comes from the factory.
func emulator(t *testing.T) func() (transport.TPMCloser, error) {
	t.Helper()
	socket := &net.UnixAddr{Name: "@" + rand.Text(), Net: "unix"}
	l, err := net.ListenUnix("unix", socket)
	try(t, err)
	server, err := l.File()
	try(t, err)
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "swtpm", "swtpm"), "socket", "--tpm2", "--tpmstate", "dir=.",
		"--server", "type=unixio,fd=3", "--flags", "startup-clear", "--terminate")
	cmd.Dir = t.TempDir()
	cmd.ExtraFiles = []*os.File{server}
	try(t, cmd.Start())
	// It waits in the queue until swtpm is ready, or ended.
	c, err := net.DialUnix("unix", nil, socket)
	try(t, err, server.Close(), l.Close())
	t.Cleanup(func() {
		_ = c.Close() // which ends it
		_ = cmd.Wait()
	})
	return func() (transport.TPMCloser, error) { return open{transport.FromReadWriter(c)}, nil }
}

// open is not closed by those who use it.
type open struct{ transport.TPM }

func (open) Close() error { return nil }

// own sets the password of a hierarchy, as an owner's OS does.
func own(t *testing.T, tpm transport.TPM, hierarchy tpm2.TPMHandle) {
	t.Helper()
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("secret")},
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
}

// closePlatform is what firmware does before it starts an OS.
func closePlatform(t *testing.T, tpm transport.TPM) {
	t.Helper()
	own(t, tpm, tpm2.TPMRHPlatform)
}

func TestTheTPMIsCleared(t *testing.T) {
	for _, test := range []struct {
		name     string
		owner    []tpm2.TPMHandle
		platform bool // its own way is open
		ppi      bool // there is a firmware to ask
		line     string
		err      string
		stays    bool // what the owner set
	}{
		{name: "nobody's", line: "the TPM is cleared"},
		{name: "an owner's", owner: []tpm2.TPMHandle{tpm2.TPMRHOwner, tpm2.TPMRHEndorsement}, line: "the TPM is cleared"},
		{name: "locked, with the firmware's way open", owner: []tpm2.TPMHandle{tpm2.TPMRHLockout}, platform: true, line: "the TPM is cleared"},
		{name: "locked, with firmware to ask", owner: []tpm2.TPMHandle{tpm2.TPMRHLockout}, ppi: true, line: "an owner has set the password for it): the firmware is asked", stays: true},
		{name: "locked", owner: []tpm2.TPMHandle{tpm2.TPMRHLockout}, err: "an owner has locked the TPM, and it cannot be cleared: an owner has set the password for it", stays: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &System{base: t.TempDir(), tpm: emulator(t)}
			ppi := s.path("sys/class/tpm/tpm0/ppi")
			if !test.ppi {
				ppi = filepath.Dir(ppi)
			}
			try(t, os.MkdirAll(ppi, 0o755))
			if test.ppi {
				try(t, os.WriteFile(filepath.Join(ppi, "request"), []byte("0\n"), 0o600))
			}
			tpm, err := s.tpm()
			try(t, err)
			for _, hierarchy := range test.owner {
				own(t, tpm, hierarchy)
			}
			if !test.platform {
				closePlatform(t, tpm)
			}
			line, err := s.resetTPM()
			if !strings.Contains(line, test.line) || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("it says %q, %v", line, err)
			}
			state, err := permanent(tpm)
			try(t, err)
			if (state&owned != 0) != test.stays {
				t.Errorf("the TPM's attributes are %x", state)
			}
			if asked, err := os.ReadFile(filepath.Join(ppi, "request")); test.ppi && (err != nil || string(asked) != clearOperation) {
				t.Errorf("the firmware is asked for %q (%v)", asked, err)
			}
		})
	}
}

func TestTPMsThatCannotBeTalkedTo(t *testing.T) {
	for _, test := range []struct {
		name    string
		version string
		owned   string // what the kernel says of a TPM 1.2
		ppi     bool
		want    string
		err     string
	}{
		{"none", "", "", false, "there is no TPM", ""},
		{"an old one", "1\n", "1\n", true, "it is a TPM 1.2, which takes its owner's word only): the firmware is asked", ""},
		{"an old one, and nobody to ask", "1\n", "0\n", false, "cannot be cleared (it is a TPM 1.2, which takes its owner's word only; the firmware has no way to be asked); nobody owns it", ""},
		{"an old one with an owner, and nobody to ask", "1\n", "1\n", false, "", "an owner has locked the TPM, and it cannot be cleared: it is a TPM 1.2, which takes its owner's word only"},
		{"an old one that says nothing", "1\n", "", false, "the firmware has no way to be asked), and whether somebody owns it is not known", ""},
		{"one that does not answer", "2\n", "", false, "cannot be cleared (no answer; the firmware has no way to be asked), and whether somebody owns it is not known", ""},
	} {
		s := &System{base: t.TempDir(), tpm: func() (transport.TPMCloser, error) { return nil, errors.New("no answer") }}
		if test.version != "" {
			try(t, os.MkdirAll(s.path("sys/class/tpm/tpm0/device/ppi"), 0o755), os.WriteFile(s.path("sys/class/tpm/tpm0/tpm_version_major"), []byte(test.version), 0o600))
		}
		if test.ppi {
			try(t, os.WriteFile(s.path("sys/class/tpm/tpm0/device/ppi/request"), nil, 0o600))
		}
		if test.owned != "" {
			try(t, os.WriteFile(s.path("sys/class/tpm/tpm0/device/owned"), []byte(test.owned), 0o600))
		}
		line, err := s.resetTPM()
		if !strings.Contains(line, test.want) || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%s: it says %q, %v, want %q, %q", test.name, line, err, test.want, test.err)
		}
	}
}

func try(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
