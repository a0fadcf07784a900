package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// orderVariable makes this test binary another process that uses a library: it opens
// the image, and prints its manifest.
const orderVariable = "METALPOOL_TEST_OPEN_IMAGE"

type order struct {
	Dir   string
	Image core.Image
}

func TestMain(m *testing.M) {
	text := os.Getenv(orderVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.run()
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func (o order) run() error {
	opened, err := image.NewLibrary(o.Dir).Open(context.Background(), o.Image)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(opened.Manifest())
}

func process(t *testing.T, o order) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

func TestProcessesAtOnce(t *testing.T) {
	dir := t.TempDir()
	i := examine(t, image.NewLibrary(t.TempDir()), core.Image{Source: write(t, testDisk(t))})
	var outputs []*bytes.Buffer
	var commands []*exec.Cmd
	for range 3 {
		cmd, out := process(t, order{dir, i}), &bytes.Buffer{}
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		commands, outputs = append(commands, cmd), append(outputs, out)
	}
	for n, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if outputs[n].String() != outputs[0].String() || outputs[n].Len() == 0 {
			t.Errorf("one process was given %s, another %s", outputs[0], outputs[n])
		}
	}
	only(t, dir, "packs", "*", "chunks-*")
}

// waitFor waits for a file to be there.
func waitFor(t *testing.T, pattern string) string {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return found[0]
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s does not appear", pattern)
		}
	}
}

// A process is killed while it downloads; the next one clears up after it, and does
// the work.
func TestKilledProcess(t *testing.T) {
	disk, dir := testDisk(t), t.TempDir()
	reached, killed := make(chan bool), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(disk)))
		_, _ = w.Write(disk[:6<<20])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-killed: // by now: the second process
		default:
			reached <- true
			<-killed
			return
		}
		_, _ = w.Write(disk[6<<20:])
	}))
	defer server.Close()

	i := core.Image{Source: server.URL, SHA256: sum(disk)}
	cmd := process(t, order{dir, i})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	download := waitFor(t, filepath.Join(dir, "work", "*", "download"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	close(killed)
	if _, err := os.Stat(download); err != nil {
		t.Fatalf("the test kills too late: %v", err)
	}

	if !bytes.Equal(lay(t, open(t, image.NewLibrary(dir), i)), disk) {
		t.Error("another disk came out")
	}
	left, err := filepath.Glob(filepath.Join(dir, "work", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
