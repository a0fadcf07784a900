package core_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// TestPasswordsBehindReferences enrolls a server whose password is somewhere else, and
// changes it there.
func TestPasswordsBehindReferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bareRack(t, 1)
		s := p.rack.Server("n1")
		asked, known := 0, map[core.Reference]string{}
		host := p.rack.Host()
		engine := func() *core.Engine {
			return core.New(core.Config{
				Store: p.store, Sealer: cloak{}, Deployer: host, Timing: timing, Backends: map[string]core.Connector{"redfish": host},
				Resolve: func(_ context.Context, ref core.Reference) (string, error) {
					asked++
					if password, ok := known[ref]; ok {
						return password, nil
					}
					return "", &core.Error{Op: "find the BMC's password at " + string(ref), Kind: core.Denied, Err: errors.New("it is not there")}
				},
			})
		}
		enroll := func(password string) error {
			_, err := engine().Enroll(t.Context(), core.Enrollment{ID: "n1", URL: s.BMC(), User: "root", Password: password, Erase: true}, nil)
			return err
		}
		if err := enroll("env:one two"); !core.Is(err, core.Invalid) || strings.Contains(err.Error(), "one two") {
			t.Errorf("no reference: %v", err)
		}
		if err := enroll("env:BMC"); !core.Is(err, core.Denied) || !strings.Contains(err.Error(), "at env:BMC: denied") {
			t.Errorf("not there: %v", err)
		}
		known["env:BMC"] = "calvin-the-first"
		s.SetPassword("calvin-the-first")
		if err := enroll("env:BMC"); err != nil {
			t.Fatal(err)
		}
		p.password("env:BMC", "")

		// A host that cannot find it has found no fault with the node.
		delete(known, "env:BMC")
		outcomes, err := engine().Reconcile(t.Context(), core.ReconcileOptions{}, nil)
		if !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "at env:BMC: denied: it is not there") || outcomes[0].To != core.Cleaning {
			t.Errorf("%+v, %v", outcomes, err)
		}
		known["env:BMC"], asked = "calvin-the-second", 0
		s.SetPassword("calvin-the-second") // no word to the pool
		if _, err := engine().Reconcile(t.Context(), core.ReconcileOptions{}, nil); err != nil || asked == 0 {
			t.Errorf("asked %d times, %v", asked, err)
		}
		p.wantStates("n1 Available")
		p.sound()

		set := func(password string) error {
			_, err := engine().SetNode(t.Context(), "n1", core.NodeChange{Password: &password})
			return err
		}
		if err := set("file:relative"); !core.Is(err, core.Invalid) {
			t.Errorf("no reference: %v", err)
		}
		p.password("env:BMC", "")
		if err := set("exec:pass show n1"); err != nil {
			t.Error(err)
		}
		p.password("exec:pass show n1", "")
		if err := set("literal:exec:a-password"); err != nil {
			t.Error(err)
		}
		p.password("", "exec:a-password")

		files, err := filepath.Glob(p.address + "*")
		if err != nil || len(files) < 2 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "calvin-the") {
				t.Errorf("what was found is in %s, %v", file, err)
			}
		}
		if strings.Contains(p.story(), "calvin-the") {
			t.Error("what was found is in the events")
		}
	})
}

// password checks what the store has of the password of n1.
func (p *pool) password(from core.Reference, literal string) {
	p.t.Helper()
	at := p.node("n1").Spec.BMC
	if plain, _ := (cloak{}).Open(at.Secret); at.PasswordFrom != from || string(plain) != literal {
		p.t.Errorf("the password is from %q, or %q; want %q, or %q", at.PasswordFrom, plain, from, literal)
	}
}
