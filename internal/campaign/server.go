package campaign

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is a `metalpool serve`, which is killed and started again at the same address.
type server struct {
	number      int
	world       *World
	address     string // host:port
	fingerprint string

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
	ordered bool // its end is ours
}

func (s *server) log() string {
	return filepath.Join(s.world.Dir, fmt.Sprintf("server%d.log", s.number))
}

// start returns once the server takes requests.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begin()
}

// begin is start, under the lock.
func (s *server) begin() error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	listen := s.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cmd := exec.Command(s.world.Programs.Metalpool, "serve", "--listen", listen, "-o", "json") //nolint:noctx // it is killed, in many ways
	cmd.Env = append(s.world.environment(), "METALPOOL_URL="+s.world.pool, "METALPOOL_OWNER=operator")
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.world.nest.start(cmd); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct{ URL, Fingerprint string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fmt.Errorf("server %d does not start: %w; see %s", s.number, err, s.log())
	}
	s.address, s.fingerprint = strings.TrimPrefix(ready.URL, "https://"), ready.Fingerprint
	s.process, s.ended, s.ordered = cmd, make(chan struct{}), false
	go func(ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.ended)
	return nil
}

// end ends the server and waits for that. It tells why, where it had ended by itself.
func (s *server) end(how syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.ordered {
		return nil
	}
	select {
	case <-s.ended:
		s.ordered = true
		return fmt.Errorf("server %d ended by itself: %s; see %s", s.number, s.process.ProcessState, s.log())
	default:
	}
	s.ordered = true
	_ = s.process.Process.Signal(syscall.SIGCONT)
	_ = s.process.Process.Signal(how)
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		_ = s.process.Process.Kill()
		<-s.ended
		return fmt.Errorf("server %d did not end within a minute of %s", s.number, how)
	}
	return nil
}

func (s *server) kill() { _ = s.end(syscall.SIGKILL) }

// freeze stops it where it stands, and wake lets it go on.
func (s *server) freeze() error { return s.signal(syscall.SIGSTOP) }
func (s *server) wake() error   { return s.signal(syscall.SIGCONT) }

func (s *server) signal(how syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.ordered {
		return nil
	}
	err := s.process.Process.Signal(how)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil // its next start tells
	}
	return err
}

// up starts the server again where it is down, and tells where that was its own doing.
// Its store may be away for some time more. Several faults may have ended it, and heal at
// one time: the first to come starts it.
func (s *server) up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
	default:
		return nil
	}
	var own error
	if !s.ordered {
		own = fmt.Errorf("server %d ended by itself; see %s", s.number, s.log())
	}
	var err error
	for range 60 {
		if err = s.begin(); err == nil {
			return own
		}
		<-time.After(500 * time.Millisecond)
	}
	return err
}
