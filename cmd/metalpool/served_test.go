package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// servePool starts a server of the script's pool: served. Where it is is in $SERVER, and
// its CA's fingerprint in $PIN. At the end it is drained, and has to end well.
func servePool(ts *testscript.TestScript, _ bool, args []string) {
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "metalpool"); program == "" && exists(path) {
			program = path
		}
	}
	log, err := os.Create(ts.MkAbs("serve.log"))
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(program, slices.Concat([]string{"serve", "--listen", "127.0.0.1:0", "-o", "json"}, args)...) //nolint:noctx // it is drained below
	for _, name := range []string{"METALPOOL_URL", "METALPOOL_KEY", "METALPOOL_OWNER", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(program))
	cmd.Dir, cmd.Stderr = ts.MkAbs("."), log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		_, _ = io.Copy(io.Discard, out)
		ts.Check(cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	ts.Check(err)
	var ready servingView
	ts.Check(json.Unmarshal(line, &ready))
	ts.Setenv("SERVER", ready.URL)
	ts.Setenv("PIN", ready.Fingerprint)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
