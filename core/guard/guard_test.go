package guard_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/guard"
)

// envParent makes this program one that starts a group and says what is in it.
const envParent = "METALPOOL_TEST_GUARD_PARENT"

func TestMain(m *testing.M) {
	if pipe := os.Getenv(envParent); pipe != "" {
		parent(pipe)
		return
	}
	os.Exit(m.Run())
}

// parent has a group run a program with a child, tells its folder, and waits to be killed.
func parent(fifo string) {
	g, err := guard.New()
	if err == nil {
		err = g.Start(family(fifo))
	}
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(g.Dir + "\n")
	select {}
}

// family is a program with a child, which both have the fifo open and shrug off what asks
// them to end.
func family(fifo string) *exec.Cmd {
	return exec.Command("sh", "-c", "trap '' TERM HUP INT; exec 3>$0; sleep 1000 & echo here >&3; wait", fifo) //nolint:noctx // its group ends it
}

// listen makes a fifo, and returns what is said there, up to when nobody has it open.
func listen(t *testing.T) (fifo string, said func() *bufio.Reader) {
	t.Helper()
	fifo = filepath.Join(t.TempDir(), "fifo")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	return fifo, func() *bufio.Reader {
		f, err := os.Open(fifo)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		r := bufio.NewReader(f)
		if line, err := r.ReadString('\n'); err != nil || line != "here\n" {
			t.Fatalf("%q, %v", line, err)
		}
		return r
	}
}

func gone(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	// The end of the fifo is the end of all who have it open.
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder: %v", err)
	}
}

func TestGroupThatIsEnded(t *testing.T) {
	fifo, said := listen(t)
	g, err := guard.New()
	if err != nil {
		t.Fatal(err)
	}
	cmd := family(fifo)
	if err := g.Start(cmd); err != nil {
		t.Fatal(err)
	}
	r := said()
	if info, err := os.Stat(g.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	g.End()
	g.End()
	gone(t, r, g.Dir)
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
}

// Whoever ends a group while something is about to be started in it need not look again.
func TestGroupThatHasEnded(t *testing.T) {
	g, err := guard.New()
	if err != nil {
		t.Fatal(err)
	}
	g.End()
	if err := g.Start(exec.CommandContext(t.Context(), "true")); err == nil || !strings.Contains(err.Error(), "its time was over") {
		t.Errorf("it is started: %v", err)
	}
}

// kill -9 of who started the group leaves nothing of it.
func TestGroupOfAProcessThatIsKilled(t *testing.T) {
	fifo, said := listen(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envParent+"="+fifo)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := said()
	dir, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, r, strings.TrimSpace(dir))
}
