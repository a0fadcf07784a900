package labtest

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Server is a `metalpool serve` of a rack's pool, as its users have it.
type Server struct {
	URL         string
	Fingerprint string
	Token       string // of Owner

	rack    *Rack
	program *Program
	process *exec.Cmd
}

// Serve starts a server of the pool, and makes a token for Owner. It is killed with the
// test.
func (r *Rack) Serve(t testing.TB, program *Program) *Server {
	t.Helper()
	_, secret, err := r.Engine(t).CreateToken(t.Context(), core.TokenOrder{Name: Owner, Role: core.RoleOperator})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Token: secret, rack: r, program: program}
	s.start(t, "127.0.0.1:0")
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// start returns once the server takes requests.
func (s *Server) start(t testing.TB, listen string) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.rack.Dir, "serve.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// No context of the test's: its end is to find the server as it is.
	s.process = exec.Command(filepath.Join(s.program.Dir(t), s.program.Name), "serve", "--listen", listen, "-o", "json", "--images", s.rack.Dir) //nolint:noctx // see above
	s.process.Env, s.process.Stderr = append(os.Environ(), s.rack.Settings()...), log
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	var ready struct{ URL, Fingerprint string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("the server says %q: %v\n%s", line, err, text)
	}
	s.URL, s.Fingerprint = ready.URL, ready.Fingerprint
}

// Settings is the environment of programs that use the server, beside our own.
func (s *Server) Settings() []string {
	return []string{"METALPOOL_URL=" + s.URL, "METALPOOL_TOKEN=" + s.Token, "METALPOOL_FINGERPRINT=" + s.Fingerprint}
}

// Kill ends the server at once, wherever it is.
func (s *Server) Kill(t testing.TB) { s.end(t, os.Kill) }

// Drain ends the server as systemd does.
func (s *Server) Drain(t testing.TB) { s.end(t, os.Interrupt) }

func (s *Server) end(t testing.TB, how os.Signal) {
	t.Helper()
	if s.process.ProcessState != nil {
		return
	}
	if err := s.process.Process.Signal(how); err != nil {
		t.Error(err)
	}
	err := s.process.Wait()
	if how != os.Kill && err != nil {
		t.Errorf("the server ends with %v", err)
	}
}

// Restart starts the server again, at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, u.Host)
}
