package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// TestOperatorsPage runs docs/operators.md as its reader does.
func TestOperatorsPage(t *testing.T) {
	server := pgtest.Own(t, "fsync=off")
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "pages"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SOCKET", filepath.Dir(server.Data()))
			env.Setenv("PROGRAMS", needs.Postgres(t))
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"page": runPage, "serve": serveBMCs},
	})
}

// commandsOf are the lines of a page that its reader types: those after "$ " in blocks of
// kind console.
func commandsOf(page string) (commands []string) {
	inside := false
	for line := range strings.Lines(page) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case inside && strings.HasPrefix(line, "$ "):
			commands = append(commands, strings.TrimPrefix(line, "$ "))
		}
	}
	return commands
}

// standIns play what a test cannot have of a host: its packages, users and services.
// systemctl runs what the unit says, and waits until it serves.
var standIns = map[string]string{
	"make":    `mkdir -p bin && cp "$(command -v metalpool)" bin/metalpool && echo ISO >bin/ramdisk.iso`,
	"apt-get": `test "$*" = "install -y postgresql"`,
	"useradd": `mkdir -p "$ROOT/var/lib/metalpool"`,
	"chown":   `test -e "$2"`,
	"sudo": `if [ "$1" = -u ]; then
	export PGUSER=$2 HOME=$ROOT/var/lib/metalpool
	shift 2
fi
exec "$@"`,
	"journalctl": `test "$*" = "-u metalpool" && cat "$ROOT/log"`,
	"systemctl": `unit=$ROOT/etc/systemd/system/metalpool.service
stop() {
	kill -TERM "$(cat "$ROOT/pid")"
	while kill -0 "$(cat "$ROOT/pid")" 2>/dev/null; do sleep 0.05; done
	rm "$ROOT/pid"
}
start() {
	: >"$ROOT/log"
	(
		unset "${!METALPOOL_@}" # systemd hands on nothing of who calls it
		for setting in $(sed -n 's/^Environment=//p' "$unit") $(cat "$(sed -n 's/^EnvironmentFile=//p' "$unit")"); do export "$setting"; done
		export PGUSER=$(sed -n 's/^User=//p' "$unit") HOME=$ROOT/var/lib/metalpool
		exec setsid $(sed -n 's/^ExecStart=//p' "$unit") >"$ROOT/log" 2>&1 </dev/null
	) &
	echo $! >"$ROOT/pid"
	until grep -q '^serving at' "$ROOT/log"; do kill -0 $! || { cat "$ROOT/log"; exit 1; }; sleep 0.05; done
}
case "$*" in
daemon-reload) ;;
"enable --now metalpool" | "start metalpool") start ;;
"stop metalpool") stop ;;
"restart metalpool") stop && start ;;
*) echo "systemctl $*: not played" >&2; exit 1 ;;
esac`,
}

// readsOff is what the reader of the page takes from the output of a command.
var readsOff = map[string]string{
	"sudo journalctl -u metalpool": `FINGERPRINT=$(sed -n 's/.*--fingerprint //p' "$ROOT/log")`,
	"pool key show":                `KEY=$(pool key show | sed -n 's/^File  *//p')`,
	"metalpool token list":         `TOKEN=$(metalpool token list | sed -n 's/ .*ci .*//p')`,
}

// toldAlike compares what the server was told with what the page gives the commands on its
// host: where one of these starts a worker, its ports have to be those that are open.
const toldAlike = `diff <(tr '\0' '\n' <"/proc/$(cat "$ROOT/pid")/environ" | grep ^METALPOOL_ | sort) <(sort "$ROOT/etc/metalpool.env") >&2` + "\n"

// runPage runs the commands of a page in docs, one after the other in one shell: page FILE.
// What is a host's own is put below $WORK/root, and addresses are those of the lab.
func runPage(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", args[0]))
	ts.Check(err)
	commands := commandsOf(string(text))
	if len(commands) < 10 {
		ts.Fatalf("%s has %d commands", args[0], len(commands))
	}
	root := ts.MkAbs("root")
	socket, programs := ts.Getenv("SOCKET"), ts.Getenv("PROGRAMS")
	address := freeAddress(ts)
	replace := strings.NewReplacer(
		"/var/run/postgresql", socket,
		"10.0.0.2:7443", address, "--listen :7443", "--listen "+address,
		"https://10.0.0.7", ts.Getenv("BMC1"),
		"/usr/bin/", root+"/usr/bin/", "/usr/share/", root+"/usr/share/", "/var/lib/", root+"/var/lib/", "/etc/", root+"/etc/", "/backup", root+"/backup",
	)
	for _, dir := range []string{"usr/bin", "usr/share", "etc/systemd/system", "play"} {
		ts.Check(os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for name, script := range standIns {
		ts.Check(os.WriteFile(filepath.Join(root, "play", name), []byte("#!/bin/bash\nset -eu\n"+script+"\n"), 0o755))
	}
	for _, file := range []string{"examples/serve/metalpool.service", "examples/serve/metalpool.env"} {
		content, err := os.ReadFile(filepath.Join("..", "..", file))
		ts.Check(err)
		ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(file)), 0o755))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(replace.Replace(string(content))), 0o644))
	}
	ts.Defer(func() { stopUnit(filepath.Join(root, "pid")) })

	var script strings.Builder
	fmt.Fprintf(&script, "set -euo pipefail\nexport ROOT=%s PGHOST=%s PATH=%s/play:%s/usr/bin:$PATH:%s\n", root, socket, root, root, programs)
	for _, c := range commands {
		fmt.Fprintf(&script, "printf '$ %%s\\n' %s >&2\n%s\n%s\n", strconv.Quote(strings.NewReplacer("$", "", "`", "").Replace(c)), replace.Replace(c), readsOff[c])
	}
	script.WriteString(toldAlike)
	ts.Check(os.WriteFile(ts.MkAbs("page.sh"), []byte(script.String()), 0o600))
	ts.Check(ts.Exec("bash", ts.MkAbs("page.sh")))
}

func freeAddress(ts *testscript.TestScript) string {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	return l.Addr().String()
}

// stopUnit ends what a page that failed half-way has left.
func stopUnit(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
