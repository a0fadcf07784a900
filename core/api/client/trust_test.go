package client_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

func wantError(t *testing.T, err error, kind core.Kind, texts ...string) {
	t.Helper()
	if !core.Is(err, kind) {
		t.Errorf("%v, want %s", err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// The token goes to nobody but the server whose CA was pinned.
func TestTheTokenGoesToThePinnedServerAlone(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/v1/images" { // one that sends its clients elsewhere
			http.Redirect(w, r, "https://127.0.0.1:1/steal", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[]"))
	}))
	defer server.Close()
	right := client.Fingerprint(server.Certificate())
	shown, err := client.Shown(t.Context(), server.URL)
	if err != nil || shown != right {
		t.Errorf("it shows %s, %v; want %s", shown, err, right)
	}
	open := func(pin string) *client.Client {
		t.Helper()
		c, err := client.New(client.Config{URL: server.URL, Token: "s3cret", Fingerprint: pin, Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	_, err = open(strings.Repeat("00", 32)).Pools(t.Context())
	wantError(t, err, core.Denied, "was pinned", "somebody is in between")
	_, err = open("").Pools(t.Context())
	wantError(t, err, core.Denied, "pin it: metalpool login "+server.URL)
	if asked != 0 {
		t.Errorf("it was asked %d times by who does not trust it", asked)
	}
	colons := strings.ToUpper(right[:2]) + ":" + right[2:]
	if _, err := open(colons).Pools(t.Context()); err != nil {
		t.Errorf("with the right pin: %v", err)
	}
	_, err = open(right).Images(t.Context())
	wantError(t, err, core.Invalid, "307", "no 'metalpool serve'")
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, url := range []string{"http://h", "https://", "https://u:s3cret@h", "https://h/p", "https://h?t=s3cret", "h:7443", "https://h:7443#x", "::"} {
		_, err := client.New(client.Config{URL: url, Token: "t"})
		wantError(t, err, core.Invalid, "https://host:port")
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the refusal tells a secret: %v", err)
		}
	}
	_, err := client.New(client.Config{URL: "https://h", Token: "t", Fingerprint: "abc"})
	wantError(t, err, core.Invalid, "SHA-256")
	c, err := client.New(client.Config{URL: "https://nobody.invalid", Token: "t", Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Create(t.Context(), core.Order{ID: "m", Name: "m"}, nil) // and does not wait for it
	wantError(t, err, core.Invalid, "nobody.invalid", "METALPOOL_URL")
}

func TestLoginsAreTheirUsersAlone(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	if l, err := client.Known("https://h:1"); err != nil || l != (client.Login{}) {
		t.Errorf("before any: %+v, %v", l, err)
	}
	for address, l := range map[string]client.Login{"https://H:1/": {Token: "a", Fingerprint: "f"}, "https://g": {Token: "b"}} {
		if _, err := client.Keep(address, l); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Known(address); err != nil || got != l {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
	}
	path := filepath.Join(home, "metalpool", "servers.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if l, err := client.Known("https://h:1"); err != nil || l.Token != "a" {
		t.Errorf("the first one after the second: %+v, %v", l, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = client.Known("https://h:1")
	wantError(t, err, core.Invalid, "may be read by others", "chmod 600")
	if err := os.WriteFile(path, []byte(`{"servers":{"https://h:1":{"token":"s3cret"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = client.Known("https://h:1")
	wantError(t, err, core.Invalid, "log in again")
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the refusal tells a secret: %v", err)
	}
}

// Who is not told the end of a write reads what to do about that one: only an order is gone
// on with by asking again.
func TestWhatIsToBeDoneWithoutAnAnswer(t *testing.T) {
	c, err := client.New(client.Config{URL: "https://127.0.0.1:1", Token: "t", Patience: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	order := core.Order{ID: "m", Name: "m"}
	_, err = c.Create(t.Context(), order, nil)
	wantError(t, err, core.Transient, core.AdviceUnfinished)
	_, err = c.Deploy(t.Context(), order, nil)
	wantError(t, err, core.Transient, core.AdviceUnfinished)
	err = c.Release(t.Context(), "m", core.ReleaseOptions{}, nil)
	wantError(t, err, core.Transient, "to see it done, release it again")
	_, _, err = c.CreateToken(t.Context(), core.TokenOrder{Name: "ann"})
	wantError(t, err, core.Transient, "see what came of it before asking again")
}
