package several_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/seal"
)

// endsByItself waits for a server to end, and returns how it did and what it said last.
func (p *served) endsByItself() (status int, said string) {
	t := p.site.t
	t.Helper()
	select {
	case <-p.ended: //nolint:errcheck // its status tells how
	case <-time.After(patience):
		t.Fatal("the server goes on")
	}
	p.site.front.lead(p.address, false)
	status = p.process.ProcessState.ExitCode()
	p.process = nil
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text)
}

// A host with another key than the pool's starts no server: it is told both keys.
func TestAServerWithAnotherKeyDoesNotStart(t *testing.T) {
	s := newSite(t, quick, 1, 1)
	own, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	theirs := s.run("key", "show")
	file := s.dir + "/other.key"
	if err := seal.Write(file, own); err != nil {
		t.Fatal(err)
	}
	_, err = s.try("elsewhere", "serve", "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "has no key of the pool") {
		t.Errorf("without a key: %v", err)
	}
	_, err = s.tryWith([]string{"METALPOOL_KEY=" + file}, "elsewhere", "serve", "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), own.Fingerprint()) {
		t.Fatalf("with another key: %v", err)
	}
	_, after, _ := strings.Cut(err.Error(), "is sealed with key ")
	if fingerprint, _, _ := strings.Cut(after, ","); fingerprint == "" || !strings.Contains(theirs, fingerprint) {
		t.Errorf("the pool's key is not told: %v\n%s", err, theirs)
	}
}

// Servers whose pool was given another key meanwhile, or a newer schema, say so where it
// is asked for, tell nobody that his token is no good, and end; a client goes on at the
// next start.
func TestServersEndThatAreOutdated(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *site)
		undo   func(s *site)
		says   string
	}{
		"another key": {func(s *site) { s.run("key", "rotate") }, func(*site) {}, "is sealed with key "},
		"a newer schema": {
			func(s *site) {
				s.database.Exec(s.t, s.name, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)")
			},
			func(s *site) {
				s.database.Exec(s.t, s.name, "DELETE FROM goose_db_version WHERE version_id = 4711")
			},
			"schema version 4711 by now",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, quick, 1, 2)
			node := s.lab.Nodes()[0].ID()
			s.hangs(node)
			created := make(chan error, 1)
			go func() {
				m, err := s.client().Create(t.Context(), order("web-1"), nil)
				if err == nil && m.State != core.Deployed {
					t.Errorf("it is %s", m.State)
				}
				created <- err
			}()
			s.working(node)
			tt.change(s)
			for i, p := range s.servers {
				if status, text, err := p.get("/readyz"); err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(text, "has to be started again")) && text != "draining\n" {
					t.Errorf("server %d: /readyz says %d %q", i, status, text)
				}
				status, said := p.endsByItself()
				if status == 0 || !strings.Contains(said, tt.says) || !strings.Contains(said, "start it again") {
					t.Errorf("server %d ends with %d, and says %s", i, status, said)
				}
				if strings.Contains(said, "turned away") {
					t.Errorf("server %d has turned somebody away: %s", i, said)
				}
			}
			tt.undo(s)
			if err := s.servers[0].again(); err != nil {
				t.Fatal(err)
			}
			if err := <-created; err != nil {
				t.Errorf("the create that was under way: %v", err)
			}
			if err := s.client().Release(t.Context(), "m-web-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Error(err)
			}
			s.sound(map[core.State]int{core.Available: 1})
		})
	}
}
