package open

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/seal"
)

// envWorker tells a program that it was started to finish a store's work. It holds
// the store's path, or its database's address; see workerEnvironment for what else it is given.
const envWorker = "METALPOOL_WORKER"

// canWork is set in programs whose main calls RunWorker; another one, started again,
// would do its own work a second time.
var canWork atomic.Bool

// RunWorker does the detached worker's work where this process was started as one,
// and reports whether it was. Every main calls it first.
func RunWorker() bool {
	canWork.Store(true)
	address := os.Getenv(envWorker)
	if address == "" {
		return false
	}
	os.Unsetenv(envWorker)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	// Ctrl-C in the terminal that started us is not meant for us.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := work(ctx, address, log); err != nil {
		log.Error("worker ends", "error", err)
	}
	return true
}

// work runs while it is the store's only detached worker on this host. Whoever finds the
// lock taken leaves its work to us; so we look once more after giving it up.
func work(ctx context.Context, address string, log *slog.Logger) error {
	e, base, err := assemble(ctx, address, Options{Log: log})
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, stop := whileThere(ctx, address, lookEvery)
	defer stop()
	for {
		release, alone, err := lockWorker(base)
		if err != nil || !alone {
			return err
		}
		given, err := e.Work(ctx)
		release()
		if err != nil {
			return err
		}
		left, err := e.Unattended(ctx)
		if err != nil || !slices.ContainsFunc(left, func(id core.NodeID) bool { return !slices.Contains(given, id) }) {
			return err
		}
	}
}

// lookEvery is how often a worker looks whether its store is still there.
const lookEvery = 5 * time.Second

// whileThere returns a context that ends when the store's file is gone, or another one
// lies in its place: what goes on in the old one nobody will ever read, and the nodes are
// for whoever works by the new one. A database is there as long as it answers.
func whileThere(ctx context.Context, address string, every time.Duration) (context.Context, context.CancelFunc) {
	if inDatabase(address) {
		return context.WithCancel(ctx)
	}
	ours, err := os.Stat(address)
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
			var now os.FileInfo
			if now, err = os.Stat(address); err == nil && !os.SameFile(ours, now) {
				err = errors.New("another file is in its place")
			}
		}
		end(&core.Error{Op: "work on pool " + address, Kind: core.NotFound, Err: err})
	}()
	return ctx, func() { end(nil) }
}

// lockWorker takes the lock that makes a worker the only one. The kernel drops it
// with the process, however that ends.
func lockWorker(base string) (release func(), alone bool, err error) {
	f, err := os.OpenFile(base+".worker", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, false, nil
	}
	if err != nil {
		f.Close()
		return nil, false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, true, nil
}

// startWorker starts this program again as a worker, in a session of its own, so
// that neither the end of the caller nor of its terminal ends it. Where one is at
// work already it starts none.
func startWorker(address, base string) (started bool, err error) {
	if !canWork.Load() {
		return false, errors.New("this program does not run as a worker")
	}
	release, alone, err := lockWorker(base)
	if err != nil || !alone {
		return false, err
	}
	release()
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	log, err := openLog(base + ".worker.log")
	if err != nil {
		return false, err
	}
	defer log.Close()
	cmd := exec.Command(self) //nolint:noctx // no context of ours is to end it
	if cmd.Env, err = workerEnvironment(address, os.Environ()); err != nil {
		return false, err
	}
	cmd.Args = workerTitle(address)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	return true, cmd.Process.Release()
}

// workerTitle is how a worker shows in the list of processes, whichever program it is.
// The address of a database may hold a password, and anybody reads that list.
func workerTitle(address string) []string {
	if scheme, rest, has := strings.Cut(address, "://"); has {
		address = scheme + "://" + withoutSecrets(rest)
	}
	return []string{"metalpool", "worker", "for", address}
}

// filesOfPostgres are variables that name files, as PostgreSQL's own programs have them.
var filesOfPostgres = []string{"PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"}

// workerEnvironment is what a worker of the store at address gets of its caller's: it
// lives for hours, and whatever else we are told in the environment, BMC passwords and
// tokens among it, was meant for one command. A key or a boot ISO that was named from
// the caller's folder is named from the worker's.
func workerEnvironment(address string, callers []string) ([]string, error) {
	env := []string{envWorker + "=" + address}
	for _, setting := range callers {
		name, value, _ := strings.Cut(setting, "=")
		switch {
		case name == EnvKey:
			key, err := seal.Absolute(value)
			if err != nil {
				return nil, err
			}
			setting = name + "=" + key
		case value != "" && (name == deploy.EnvRamdisk || slices.Contains(filesOfPostgres, name)):
			path, err := filepath.Abs(value)
			if err != nil {
				return nil, err
			}
			setting = name + "=" + path
		case slices.Contains([]string{EnvAdvertise, EnvPorts, core.EnvOwner}, name):
		case strings.HasPrefix(name, "METALPOOL_"), strings.HasPrefix(name, "MACHINE_"):
			continue
		}
		env = append(env, setting)
	}
	return env, nil
}

// maxLog is how long the workers' log may be when one more begins.
const maxLog = 1 << 20

// openLog begins the log anew where it has grown too long: nobody else tends it.
func openLog(path string) (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}
