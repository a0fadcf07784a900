package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// stage is what the last stage of a container file says: what is in the image, and how it
// is run.
type stage struct {
	copies     []copied
	env        []string
	uid, gid   int
	entrypoint []string
	command    []string
}

// copied is one COPY of the stage before.
type copied struct {
	from, to string
	uid, gid int
	mode     os.FileMode // 0: as it was
}

// lastStage reads what our container file uses of that language, and refuses more.
func lastStage(t *testing.T, text string) (s stage) {
	t.Helper()
	for line := range strings.Lines(text) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "", "#", "VOLUME", "EXPOSE", "STOPSIGNAL":
		case "FROM":
			s = stage{}
		case "COPY":
			s.copies = append(s.copies, copyOf(t, strings.Fields(rest)))
		case "ENV":
			s.env = append(s.env, strings.Fields(rest)...)
		case "USER":
			s.uid, s.gid = owner(t, rest)
		case "ENTRYPOINT":
			s.entrypoint = listOf(t, rest)
		case "CMD":
			s.command = listOf(t, rest)
		case "RUN", "WORKDIR": // of the stage that builds
		default:
			if !strings.HasPrefix(verb, "#") {
				t.Fatalf("%q is not understood", line)
			}
		}
	}
	return s
}

func copyOf(t *testing.T, fields []string) (c copied) {
	t.Helper()
	for len(fields) > 2 {
		option, value, _ := strings.Cut(fields[0], "=")
		switch fields = fields[1:]; option {
		case "--from":
		case "--chown":
			c.uid, c.gid = owner(t, value)
		case "--chmod":
			mode, err := strconv.ParseUint(value, 8, 12)
			if err != nil {
				t.Fatal(err)
			}
			c.mode = os.FileMode(mode)
		default:
			t.Fatalf("COPY %s is not understood", option)
		}
	}
	c.from = fields[0]
	if len(fields) == 2 {
		c.to = fields[1]
	}
	return c
}

func owner(t *testing.T, text string) (uid, gid int) {
	t.Helper()
	user, group, _ := strings.Cut(text, ":")
	uid, err := strconv.Atoi(user)
	if err != nil {
		t.Fatal(err)
	}
	if gid, err = strconv.Atoi(group); err != nil {
		t.Fatal(err)
	}
	return uid, gid
}

func listOf(t *testing.T, list string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &words); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return words
}

// TestContainerFile puts the image of examples/serve together by hand, from the last stage
// of its container file, and runs it as that says: as that user, with that environment, and
// with nothing else in its root. The stage before is `make build`.
func TestContainerFile(t *testing.T) {
	if os.Getuid() != 0 {
		needs.Missing(t, "root, to change the root of a process")
	}
	text, err := os.ReadFile("../../examples/serve/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	image := lastStage(t, string(text))
	root := t.TempDir()
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // the image's user is to come in
			t.Fatal(err)
		}
	}
	for _, c := range image.copies {
		to := filepath.Join(root, c.to)
		if strings.HasSuffix(c.to, "/") {
			to = filepath.Join(to, filepath.Base(c.from))
		}
		put(t, c, to)
	}
	port := freePort(t)
	database := pgtest.Own(t, "listen_addresses=127.0.0.1", "port="+port, "fsync=off")
	for name, env := range map[string][]string{
		"with its pool in a file":     nil,
		"with its pool in PostgreSQL": {"METALPOOL_URL=postgres://postgres@127.0.0.1:" + port + "/" + database.Database(t)},
	} {
		t.Run(name, func(t *testing.T) { image.run(t, root, env) })
	}
}

// put makes what the stage before made.
func put(t *testing.T, c copied, to string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(to), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	switch c.from {
	case "/src/bin/metalpool":
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", to, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	case "/src/bin/ramdisk.iso", "/etc/ssl/certs/ca-certificates.crt":
		err = os.WriteFile(to, []byte("read by nobody here\n"), 0o644)
	case "/state":
		err = os.Mkdir(to, 0o755)
	default:
		t.Fatalf("what %s is the test does not know", c.from)
	}
	if err == nil && c.mode != 0 {
		err = os.Chmod(to, c.mode)
	}
	if err == nil {
		err = os.Chown(to, c.uid, c.gid)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run starts the image, waits until it serves, and stops it.
func (s stage) run(t *testing.T, root string, env []string) {
	args := append([]string{}, s.entrypoint[1:]...)
	for _, arg := range s.command {
		if arg == ":7443" {
			arg = "127.0.0.1:0"
		}
		args = append(args, arg)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), s.entrypoint[0], args...)
	cmd.Dir, cmd.Env = "/", append(append([]string{}, s.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, _ := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(first, "serving at https://127.0.0.1:") {
		t.Errorf("it says %q, and ends with %v: %s", first, err, said.String())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
