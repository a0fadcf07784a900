package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// launchFiles are what a process is given besides its arguments.
type launchFiles struct {
	// console is told what the system writes to its serial port, by one goroutine;
	// nil: there is no port.
	console io.Writer
	// lock stays open in the process, so that a lock on it lasts as long as it does.
	lock *os.File
	// events are told of by one goroutine, which must not run commands.
	events func(event)
}

// process is a running QEMU.
type process struct {
	monitor *monitor
	kill    context.CancelFunc
	serial  *net.UnixConn
	over    chan struct{} // closed when it has ended and all that it wrote was read
	said    *lastWords
}

// launch starts QEMU, which stops with this program at the latest, and waits until it
// takes commands, as long as ctx does. It then lives until it is killed.
func launch(ctx context.Context, program string, args []string, files launchFiles) (*process, error) {
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, kill)()
	p := &process{kill: kill, over: make(chan struct{}), said: &lastWords{}}
	var inherited []*os.File
	defer func() {
		for _, f := range inherited {
			_ = f.Close() // QEMU has its own
		}
	}()
	pair := func() (*net.UnixConn, error) {
		ours, theirs, err := socketPair()
		if err == nil {
			inherited = append(inherited, theirs)
		}
		return ours, err
	}
	control, err := pair()
	if err != nil {
		kill()
		return nil, err
	}
	serial, err := pair()
	if err != nil {
		kill()
		return nil, errors.Join(err, control.Close())
	}
	p.serial = serial
	cmd := exec.CommandContext(life, program, args...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, inherited...)
	if files.lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, files.lock)
	}
	cmd.Stderr = p.said
	// A group of its own: Ctrl-C at the terminal is for the lab, which decides what
	// becomes of its machines.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	var reading sync.WaitGroup
	go func() {
		// The kernel sends the signal when the thread ends that started the process,
		// and Go ends threads as it likes.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended was told by events, if at all
		reading.Wait()
		_ = serial.Close()
		kill()
		close(p.over)
	}()
	if files.console == nil {
		files.console = io.Discard
	}
	reading.Go(func() { _, _ = io.Copy(files.console, serial) }) // ends with QEMU
	if err := <-started; err != nil {
		kill()
		return nil, errors.Join(fmt.Errorf("start QEMU: %w", err), control.Close(), serial.Close())
	}
	for _, f := range inherited { // else nobody notices that QEMU has closed its ends
		_ = f.Close()
	}
	inherited = nil
	if files.events == nil {
		files.events = func(event) {}
	}
	if p.monitor, err = newMonitor(control, files.events); err != nil {
		kill()
		<-p.over
		_ = control.Close()
		return nil, p.why()
	}
	return p, nil
}

// why is the error of a process that ended by itself.
func (p *process) why() error {
	if text := p.said.String(); text != "" {
		return fmt.Errorf("QEMU ended: %s", text)
	}
	return errors.New("QEMU ended without a word")
}

// end kills the process if it runs, and waits until it is gone.
func (p *process) end() {
	p.kill()
	<-p.over
	p.monitor.close()
}

// socketPair returns two connected sockets, the second as a file to be inherited.
// Unlike sockets in a folder they need no path, and nobody else can open them.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make sockets for QEMU: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "QEMU's")
	conn, err := net.FileConn(ours)
	if err = errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make sockets for QEMU: %w", err), theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

// lastWords keeps the end of what a process writes to its standard error.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

const mostWords = 2 << 10 // bytes

// Write implements io.Writer.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = w.text[max(0, len(w.text)-mostWords):]
	return len(p), nil
}

// String is what is no warning, in one line.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var said []string
	for line := range strings.Lines(string(w.text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "qemu-system-x86_64: ")
		if line != "" && !strings.HasPrefix(line, "warning: ") {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}
