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
	g, err := guard.New("")
	cmd := family(fifo)
	cmd.Stdout = os.Stdout // so that the keeper's end can be waited for
	if err == nil {
		err = g.Start(cmd)
	}
	if err != nil {
		panic(err)
	}
	defer g.End()
	os.Stdout.WriteString(g.Dir + "\n")
	_ = cmd.Wait()
}

// family is a program with children, which all have the fifo open and shrug off what asks
// them to end. One has left their session, and one has lost its parent as well.
func family(fifo string) *exec.Cmd {
	return exec.Command("sh", "-c", "trap '' TERM HUP INT; exec 3>$0; sleep 1000 & "+strays+"echo here >&3; wait", fifo) //nolint:noctx // its group ends it
}

const strays = "setsid sleep 1000 & (setsid sh -c 'sleep 1000; true' &) ; "

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
	g, err := guard.New("")
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

// A program ends as it does by itself, and takes with it what it has left behind.
func TestGroupWhoseProgramEnds(t *testing.T) {
	for how, text := range map[string]string{
		"":                          "true",
		"exit status 3":             "exit 3",
		"signal: killed":            "kill -9 $$",
		"signal: segmentation faul": "kill -SEGV $$",
		"exit status 143":           "trap 'exit 143' TERM; kill -TERM $PPID; while :; do sleep 0.01; done", // its keeper passes it on
	} {
		t.Run(text, func(t *testing.T) {
			fifo, said := listen(t)
			g, err := guard.New(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer g.End()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec 3>$0; "+strays+"echo here >&3; "+text, fifo)
			if err := g.Start(cmd); err != nil {
				t.Fatal(err)
			}
			r := said()
			if err := cmd.Wait(); err == nil && how != "" || err != nil && (how == "" || !strings.HasPrefix(err.Error(), how)) {
				t.Errorf("it ended with %v, want %s", err, how)
			}
			gone(t, r, g.Dir)
		})
	}
}

// What starts another and ends at once, over and over, is as much the group's as the rest:
// whoever of them is left would still be at it once it is told to stop.
func TestGroupThatRunsAway(t *testing.T) {
	fifo, said := listen(t)
	g, err := guard.New("")
	if err != nil {
		t.Fatal(err)
	}
	const runs = `exec 3>$0; next() { test ! -e $0.stop || { echo left >&3; exit; }; next & }; (setsid sh -c "$1" $0 &); next; echo here >&3; exec sleep 1000`
	const away = `next() { test ! -e $0.stop || { echo left >&3; exit; }; next & }; next; next; next; next; next; next; next; next`
	if err := g.Start(exec.CommandContext(t.Context(), "sh", "-c", runs, fifo, away)); err != nil {
		t.Fatal(err)
	}
	r := said()
	g.End()
	if err := os.WriteFile(fifo+".stop", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone(t, r, g.Dir)
}

func TestGroupOfNoProgram(t *testing.T) {
	g, err := guard.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer g.End()
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "/nowhere/program")
	cmd.Stderr = &said
	if err := g.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "exit status 126" || said.String() != "cannot start /nowhere/program: no such file or directory\n" {
		t.Errorf("it ended with %v, and said %q", err, said.String())
	}
}

// Whoever ends a group while something is about to be started in it need not look again.
func TestGroupThatHasEnded(t *testing.T) {
	g, err := guard.New("")
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
	tells := bufio.NewReader(out)
	dir, err := tells.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, tells) // until the keeper has ended, too
	_ = cmd.Wait()
	gone(t, r, strings.TrimSpace(dir))
}
