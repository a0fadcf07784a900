package campaign

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/internal/attached"
)

func TestAKilledCampaignLeavesNoWorker(t *testing.T) {
	program := filepath.Join(t.TempDir(), "warden")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./warden").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pool := filepath.Join(t.TempDir(), "pool.db")
	worker := exec.Command("sleep", "1000") //nolint:noctx // the warden ends it
	worker.Env = append(os.Environ(), "METALPOOL_URL="+pool)
	worker.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = worker.Process.Kill() }()
	w, err := guard(program, pool)
	if err != nil {
		t.Fatal(err)
	}
	if found := attached.To(pool); !slices.Contains(found, worker.Process.Pid) {
		t.Errorf("while the campaign runs the pool's processes are %v, without %d", found, worker.Process.Pid)
	}
	_ = w.alive.Close() // as the kernel does where the campaign is killed
	if err := worker.Wait(); err == nil || worker.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the worker ended by itself: %v", worker.ProcessState)
	}
	if err := w.process.Wait(); err != nil {
		t.Error(err)
	}
}
