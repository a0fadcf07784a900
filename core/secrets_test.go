package core_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/seal"
)

func TestNoSecretLeaks(t *testing.T) {
	const password, userData = "calvin-the-secret", "#cloud-config\npassword: the-users-own-secret\n"
	synctest.Test(t, func(t *testing.T) {
		key, err := seal.Generate()
		if err != nil {
			t.Fatal(err)
		}
		p := bareRack(t, 3)
		host, written := p.rack.Host(), &logs{}
		e := p.engineOn(host, p.store, key, slog.New(slog.NewTextHandler(written, &slog.HandlerOptions{Level: slog.LevelDebug})))
		told := &logs{}
		tell := func(what any, err error) { fmt.Fprintf(told, "%+v %v\n", what, err) }
		report := func(p core.Progress) { tell(p, nil) }
		for _, s := range p.rack.Servers() {
			s.SetPassword(password)
			n, err := e.Enroll(t.Context(), core.Enrollment{ID: s.ID, URL: s.BMC(), User: "root", Password: password, Erase: true}, report)
			tell(n, err)
		}
		tell(e.Reconcile(t.Context(), core.ReconcileOptions{}, report))
		p.manage(core.ManageAlways)
		o := order("a-1", "web-1")
		o.UserData = []byte(userData)
		for _, s := range p.rack.Servers() {
			s.Fail(enginetest.Fault{Op: "seed", Err: enginetest.ErrBroken, Times: 1, Unless: func(r *enginetest.Rack) bool { return r.Hits("seed") > 0 }})
		}
		m, err := e.Create(t.Context(), o, report)
		if tell(m, err); err != nil {
			t.Fatal(err)
		}
		if !m.Managed {
			t.Fatal("there is no management key; the test would look for nothing")
		}
		tell(e.Change(t.Context(), o.ID, core.MachineChange{Keys: []string{"ssh-ed25519 BBBB ann"}}))
		// Frozen while everything that an attempt has is in the store.
		late := o
		late.ID, late.Name = "a-2", "web-2"
		victim := p.rack.Host()
		victim.FreezeIn("agent kexec", enginetest.Before)
		ended := make(chan error, 1)
		go func() {
			_, err := p.engineOn(victim, p.store, key, nil).Create(t.Context(), late, report)
			ended <- err
		}()
		<-victim.Frozen()
		if !p.rack.Server(p.machine("a-2").Node).Look().Ramdisk {
			t.Errorf("the second machine did not come as far as its ramdisk: %v", p.states())
		}
		bad := o
		bad.ID, bad.Name, bad.UserData = "a-3", "web-3", []byte("bad")
		tell(e.Create(t.Context(), bad, report))
		differs := o
		differs.UserData = []byte(userData + "# more")
		tell(e.Create(t.Context(), differs, report))

		var secrets []string
		for _, s := range p.rack.Servers() {
			for _, d := range s.Look().Disks {
				if d.Seed != nil {
					secrets = append(secrets, d.Seed.HostKeys...)
				}
			}
		}
		if len(secrets) < 2 {
			t.Fatalf("the servers hold %d host keys; the test would look for nothing", len(secrets))
		}
		secrets = append(secrets, password, "the-users-own-secret", "PRIVATE", "SECRET TOKEN", "AGE-SECRET-KEY")
		look := func(where, text string) {
			for _, secret := range secrets {
				for _, form := range append(inBase64(secret), secret) {
					if strings.Contains(text, form) {
						t.Errorf("%s shows %q", where, secret)
					}
				}
			}
		}
		lookInStore := func() {
			files, err := filepath.Glob(p.address + "*")
			if err != nil || len(files) < 2 {
				t.Fatal(files, err)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				look(filepath.Base(file), string(content))
			}
		}
		lookInStore()
		victim.Thaw()
		tell("the second machine", <-ended)
		for _, id := range []core.AllocationID{"a-1", "a-2"} {
			tell(id, e.Release(t.Context(), id, core.ReleaseOptions{WaitClean: true}, report))
		}
		tell(e.Reconcile(t.Context(), core.ReconcileOptions{}, report))
		lookInStore()
		look("what the caller is told", told.String())
		look("the log", written.String())
		look("the events", p.story())
		// What opens nothing any more is not kept, sealed or not.
		p.update(func(tx core.Tx) error {
			for _, id := range []core.AllocationID{"a-1", "a-2"} {
				a, err := tx.Allocation(id)
				if err != nil {
					return err
				}
				if a.Order == nil || a.Order.UserData != nil || a.Login != nil {
					t.Errorf("%s has ended, and keeps %+v, %+v", id, a.Order, a.Login)
				}
			}
			var attempts []core.AttemptID
			for ev, err := range tx.Events(core.EventFilter{}) {
				if err != nil {
					return err
				}
				if ev.Attempt != "" {
					attempts = append(attempts, ev.Attempt)
				}
			}
			for _, id := range attempts {
				at, err := tx.Attempt(id)
				if err != nil {
					return err
				}
				if at.HostKeys != nil || at.Login != nil || at.Boot != nil || at.EndedAt.IsZero() {
					t.Errorf("attempt %s is over and keeps its secrets", id)
				}
			}
			return nil
		})
	})
}

// inBase64 is how a text may stand in bytes that were written as JSON, wherever in them.
func inBase64(text string) (forms []string) {
	for before := range 3 {
		coded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(" ", before) + text))
		coded = coded[(8*before+5)/6:]
		if (before+len(text))%3 != 0 {
			coded = coded[:len(coded)-1] // has bits of what comes after
		}
		forms = append(forms, coded)
	}
	return forms
}
