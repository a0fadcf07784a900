// Package pgtest runs a real PostgreSQL server for tests. It listens on a Unix socket
// in a directory of its own, and dies with the process that started it.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/internal/needs"
)

// Server is a PostgreSQL server under test.
type Server struct {
	dir  string // of the socket and of the data
	bin  string
	args []string // more settings, name=value
	as   *syscall.Credential

	// faketime is libfaketime, and ahead what the server's next start has it do; see
	// OwnWithClock.
	faketime string
	ahead    time.Duration

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

var shared struct {
	once   sync.Once
	server *Server
}

// Shared is the one server of this test process; see Main. It waits for no disk, which
// no test of it pulls the plug of: a schema has some fifty files.
func Shared(t testing.TB) *Server {
	t.Helper()
	needs.Postgres(t) // skips each test, not only the first one
	shared.once.Do(func() {
		s, err := New(needs.Postgres(t), "fsync=off", "full_page_writes=off")
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	})
	if shared.server == nil {
		t.Fatal("the server did not start for an earlier test")
	}
	return shared.server
}

// Main runs the tests and then stops the shared server.
func Main(m *testing.M) (code int) {
	code = m.Run()
	if shared.server != nil {
		if err := shared.server.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Own starts a server for one test, which may do to it what it likes.
func Own(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := New(needs.Postgres(t), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// New makes a server with the programs in bin and starts it. The caller removes it.
func New(bin string, settings ...string) (*Server, error) {
	return newServer(bin, "", settings)
}

func newServer(bin, faketime string, settings []string) (*Server, error) {
	// A socket's path is at most 107 bytes long, and the one below t.TempDir is closed to
	// other users: PostgreSQL runs as none but root.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, args: settings, faketime: faketime}
	if os.Getuid() == 0 {
		if s.as, err = unprivileged(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := s.command("initdb", "--pgdata="+s.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// unprivileged is the user that Debian's package makes, or nobody.
func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Data is the folder of the server's data and configuration.
func (s *Server) Data() string { return s.data() }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	return cmd
}

// Start starts the server, which is not running, and waits until it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := []string{"-D", s.data(), "-k", s.dir}
	for _, setting := range append([]string{"listen_addresses=", "max_connections=200", "shared_buffers=64MB", "log_line_prefix=%m [%p] "}, s.args...) {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	cmd.Env = append(cmd.Env, s.clock()...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The kernel takes the thread that started a process for its parent: this one stays.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // says how it was stopped
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.ended = cmd, ended
	for {
		conn, err := pgx.Connect(context.Background(), s.URL("postgres"))
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case <-ended:
			text, readErr := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("the server ended: %w: %s", err, text), readErr)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server: SIGINT cuts all connections, SIGQUIT does so without a word to
// the disk, like a power cut, SIGTERM waits until the clients have left.
func (s *Server) Stop(how syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	err := s.process.Process.Signal(how)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.ended
	s.process = nil
	return err
}

// Remove stops the server and removes all that it holds.
func (s *Server) Remove() error {
	return errors.Join(s.Stop(syscall.SIGQUIT), os.RemoveAll(s.dir))
}

// URL is the address of a database of the server, with more parameters, name=value.
func (s *Server) URL(database string, parameters ...string) string {
	query := url.Values{"host": {s.dir}}
	for _, setting := range s.args {
		if port, ok := strings.CutPrefix(setting, "port="); ok { // the socket is named for it
			query.Set("port", port)
		}
	}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		query.Set(name, value)
	}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Exec runs statements in a database.
func (s *Server) Exec(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also when the test has ended
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

var made struct {
	sync.Mutex
	count int
}

// Fresh makes an empty schema, removed with the test, and returns the address of a
// store in there. That is quicker than a database for each test.
func (s *Server) Fresh(t testing.TB) string {
	t.Helper()
	made.Lock()
	made.count++
	schema := fmt.Sprintf("test_%d_%d", os.Getpid(), made.count)
	made.Unlock()
	s.Exec(t, "postgres", "CREATE SCHEMA "+schema)
	t.Cleanup(func() { s.Exec(t, "postgres", "DROP SCHEMA "+schema+" CASCADE") })
	return s.URL("postgres", "search_path="+schema)
}

// Database makes an empty database, and returns its name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	made.Lock()
	made.count++
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), made.count)
	made.Unlock()
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	return name
}
