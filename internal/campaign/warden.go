package campaign

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// warden is a process that ends what is left of a pool's processes once the campaign has
// ended: see its program.
type warden struct {
	process *exec.Cmd
	alive   io.Closer // what tells it that the campaign is
}

// guard starts one, in a session of its own: what kills the campaign is not to kill it.
func guard(program, pool string) (*warden, error) {
	cmd := exec.Command(program) //nolint:noctx // it is to outlive us
	cmd.Env = append(os.Environ(), "CAMPAIGN_POOL="+pool)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	return &warden{cmd, alive}, err
}

// close returns once the pool has no process any more.
func (w *warden) close() error { return errors.Join(w.alive.Close(), w.process.Wait()) }
