package shell_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/lab/guest/shell"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// noJournal forgets.
type noJournal struct{}

func (noJournal) Replay(func([]byte) error) error { return nil }
func (noJournal) Append([]byte) error             { return nil }
func (noJournal) Rewrite([]byte) error            { return nil }

// fewPrograms are what the tests need besides builtins.
type fewPrograms struct{}

func (fewPrograms) Exec(ctx context.Context, at string, p *shell.Process) int {
	switch path.Base(at) {
	case "cat":
		if len(p.Args) > 1 {
			data, err := p.Files.ReadFile(p.Path(p.Args[1]))
			if err != nil {
				fmt.Fprintf(p.Err, "cat: %s: %s\n", p.Args[1], shell.Reason(err))
				return 1
			}
			if _, err := p.Out.Write(data); err != nil {
				return 1
			}
			return 0
		}
		if _, err := io.Copy(p.Out, p.In); err != nil {
			return 1
		}
	case "yes":
		for ctx.Err() == nil {
			if _, err := io.WriteString(p.Out, strings.Repeat("y\n", 4096)); err != nil {
				return 141
			}
		}
	case "env":
		fmt.Fprintln(p.Out, strings.Join(p.Env, "\n"))
	}
	return 0
}

func newFiles(t *testing.T) vfs.View {
	t.Helper()
	image := vfs.NewImage(time.Unix(0, 0))
	for _, name := range []string{"cat", "yes", "env"} {
		image.Add("/bin/"+name, 0o755, name)
	}
	image.Add("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/bash\nana:x:1000:1000::/home/ana:/bin/bash\n")
	image.Add("/etc/hosts", 0o644, "127.0.0.1 localhost\n")
	image.Add("/tmp", fs.ModeDir|fs.ModeSticky|0o777, "")
	image.Add("/dev/null", fs.ModeDevice|fs.ModeCharDevice|0o666, "null")
	image.Add("/dev/zero", fs.ModeDevice|fs.ModeCharDevice|0o666, "zero")
	image.Add("/root", fs.ModeDir|0o700, "")
	tree, err := vfs.New(image, noJournal{}, func() time.Time { return time.Unix(1, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return tree.As(0, 0)
}

// lockedBuffer is written by both sides of a pipe.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string { return b.buf.String() }

func run(t *testing.T, script, input string) (out string, status int) {
	t.Helper()
	var buf lockedBuffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sh := shell.New(fewPrograms{}, &shell.Process{
		Args: []string{"bash", "one", "two words"}, Env: []string{"PATH=/bin", "HOME=/root", "SEEN=yes"},
		Dir: "/root", Files: newFiles(t), In: strings.NewReader(input), Out: &buf, Err: &buf,
	})
	status, _ = sh.Run(ctx, script)
	sh.Finish(ctx)
	sh.Wait()
	if sh.Status() != status {
		status = sh.Status()
	}
	return buf.String(), status
}

func TestShell(t *testing.T) {
	for _, c := range []struct {
		name, script, input, want string
		status                    int
	}{
		{name: "words", script: `echo "$1" $2 $# "$@"`, want: "one two words 2 one two words\n"},
		{name: "status", script: `false; echo $?; true; echo $?`, want: "1\n0\n"},
		{name: "status of substitution", script: `x=$(exit 3); echo $?; y=1; echo $?`, want: "3\n0\n"},
		{name: "exit", script: `exit 7; echo never`, status: 7},
		{name: "and or", script: `false && echo no || echo yes; true && echo and`, want: "yes\nand\n"},
		{name: "not", script: `! false; echo $?; if ! true; then echo a; else echo b; fi`, want: "0\nb\n"},
		{name: "pipe", script: `printf 'a\nb\n' | while read x; do echo "<$x>"; done`, want: "<a>\n<b>\n"},
		{name: "pipe is a subshell", script: `x=1; echo 2 | read x; echo $x`, want: "1\n"},
		{name: "endless writer ends", script: `yes | { read x; echo $x; }`, want: "y\n"},
		{name: "pipefail", script: `set -o pipefail; false | true; echo $?`, want: "1\n"},
		{name: "both streams", script: `{ echo out; echo err >&2; } 2>&1 | cat; nothere |& cat`, want: "out\nerr\nbash: nothere: command not found\n"},
		{name: "redirect", script: `echo hi > f; cat < f; cat f >> f; cat f`, want: "hi\nhi\nhi\n"},
		{name: "redirect errors away", script: `nothere 2>/dev/null; echo $?; nothere &>/dev/null; echo >|f x; cat f`, want: "127\nx\n"},
		{name: "here document", script: "x=5; cat <<E\na $x\nE\ncat <<'E'\n$x\nE\ncat <<-E\n\t\ttab\n\tE\ncat <<<\"$x\"", want: "a 5\n$x\ntab\n5\n"},
		{name: "exec redirects for good", script: `(exec >g; echo kept); cat g`, want: "kept\n"},
		{name: "if", script: `if false; then echo a; elif true; then echo b; else echo c; fi`, want: "b\n"},
		{name: "loops", script: `for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done; i=0; until [ $i -ge 2 ]; do i=$((i+1)); done; echo $i`, want: "1\n3\n2\n"},
		{name: "break two", script: `for a in 1 2; do for b in 1 2; do echo $a$b; break 2; done; done`, want: "11\n"},
		{name: "continue two", script: `for a in 1 2; do for b in 1 2; do echo $a$b; continue 2; done; done`, want: "11\n21\n"},
		{name: "case", script: `case foobar in x) echo x;; foo*|bar) echo glob;; esac`, want: "glob\n"},
		{name: "function", script: `f() { local v=in; echo $v $1; return 4; }; v=out; f arg; echo $? $v`, want: "in arg\n4 out\n"},
		{name: "return from loop", script: `f() { while true; do return 3; done; }; f; echo $?`, want: "3\n"},
		{name: "subshell", script: `x=1; (x=2; cd /tmp; exit 5); echo $? $x $PWD`, want: "5 1 /root\n"},
		{name: "cd", script: `cd /tmp && pwd; cd -; cd; pwd; cd /nope; cd /etc/hosts`, want: "/tmp\n/root\n/root\nbash: cd: /nope: No such file or directory\nbash: cd: /etc/hosts: Not a directory\n", status: 1},
		{name: "relative after cd", script: `cd /etc; cat hosts; [ -f hosts ] && echo file; [[ -d ../tmp ]] && echo dir; echo h*`, want: "127.0.0.1 localhost\nfile\ndir\nhosts\n"},
		{name: "glob", script: `echo /etc/* /nope/*`, want: "/etc/hosts /etc/passwd /nope/*\n"},
		{name: "tilde", script: `echo ~ ~ana ~daemon`, want: "/root /home/ana ~daemon\n"},
		{name: "variables", script: `a=x; a+=y; echo ${a} ${b:-d} ${#a} ${a%y}; echo ${b:=set} $b`, want: "xy d 2 x\nset set\n"},
		{name: "array", script: `a=(1 "2 3"); a+=(4); for x in "${a[@]}"; do echo "$x"; done; echo ${#a[@]}`, want: "1\n2 3\n4\n3\n"},
		{name: "environment", script: `export A=1; B=2 env; C=3; echo $B`, want: "A=1\nB=2\nHOME=/root\nPATH=/bin\nPWD=/root\nSEEN=yes\n\n", status: 0},
		{name: "readonly", script: `readonly r=1; r=2; echo $r`, want: "bash: r: readonly variable\n1\n"},
		{name: "unset nothing", script: `unset "" | cat; unset SEEN; echo "[$SEEN]"`, want: "[]\n"},
		{name: "errexit", script: `set -e; false || true; if false; then :; fi; false; echo never`, status: 1},
		{name: "errexit in pipe", script: `set -e; echo a | false; echo never`, status: 1},
		{name: "nounset", script: `set -u; echo $nope; echo never`, want: "bash: nope: unbound variable\n", status: 1},
		{name: "xtrace", script: `set -x; echo a`, want: "+ echo a\na\n"},
		{name: "test", script: `[ a = a -a ! b = c ] && [ -n x ] && [ -z "" ] && [ 3 -gt 2 ] && test \( a \) && echo ok; [ 1 -eq x ]; echo $?`, want: "ok\nbash: [: 1 -eq x: integer expression expected\n2\n"},
		{name: "test clause", script: `[[ abc == a* && ! abc == b* ]] && [[ ab =~ ^a(.)$ ]] && echo ${BASH_REMATCH[1]}`, want: "b\n"},
		{name: "access", script: `[ -r /etc/hosts ] && [ -w /etc/hosts ] && [ ! -x /etc/hosts ] && [ -x /bin/cat ] && [[ -x /bin/cat ]] && echo ok`, want: "ok\n"},
		{name: "type", script: `type cat cd f; command -v cat; command -v nope; f() { :; }; type f`, want: "cat is /bin/cat\ncd is a shell builtin\nbash: type: f: not found\n/bin/cat\nf is a function\n"},
		{name: "not found", script: `nope`, want: "bash: nope: command not found\n", status: 127},
		{name: "not executable", script: `/etc/hosts`, want: "bash: /etc/hosts: Permission denied\n", status: 126},
		{name: "read", script: `read a b; read -r c; echo "$a|$b|$c"`, input: "x y z\nback\\slash\n", want: "x|y z|back\\slash\n"},
		{name: "read joins lines", script: `read a; echo $a`, input: "one \\\ntwo\n", want: "one two\n"},
		{name: "eval and source", script: `eval "x=1; echo \$x"; echo 'y=2; return; y=3' > f; . ./f; echo $y`, want: "1\n2\n"},
		{name: "trap", script: `trap 'echo bye' EXIT; trap '' INT; exit 3`, want: "bye\n", status: 3},
		{name: "background", script: `echo a > f & wait; cat f`, want: "a\n"},
		{name: "echo", script: `echo -n a; echo -e 'b\tc'; echo '$HOME' -e`, want: "ab\tc\n$HOME -e\n"},
		{name: "printf", script: `printf '%s-%d\n' a 1 b 2; printf '%s' '-----BEGIN'`, want: "a-1\nb-2\n-----BEGIN"},
		{name: "arithmetic", script: `echo $((2*3)); ((1>2)) || echo less; echo $((1/0))`, want: "6\nless\nbash: division by zero\n", status: 1},
		{name: "substitution of a file", script: `echo "$(</etc/hosts)"; x=$(</nope); echo $?`, want: "127.0.0.1 localhost\nbash: /nope: No such file or directory\n1\n"},
		{name: "syntax error", script: `if then`, want: "bash: bash:1:1: \"if\" must be followed by a statement list\n", status: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, status := run(t, c.script, c.input)
			if out != c.want || status != c.status {
				t.Errorf("%s\ngot  %q, status %d\nwant %q, status %d", c.script, out, status, c.want, c.status)
			}
		})
	}
}

// What would run for ever, or grow without end, is stopped.
func TestShellIsBounded(t *testing.T) {
	for _, script := range []string{
		`f() { f; }; f`,
		`f() { f | f; }; f`,
		`f() { f & f; }; f`,
		`f() { x=$(f); }; f`,
		`while :; do :; done`,
		`x=$(</dev/zero)`,
		`x=$(yes)`,
		`x=$(yes | cat)`,
		`eval 'e() { eval e; }; e'`,
		`echo '. /root/me' > me; . ./me`,
		`command command command eval 'c() { command eval c; }; c'`,
		strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300),
		"echo " + strings.Repeat("x", 300<<10),
	} {
		if out, status := run(t, script, ""); status == 0 && !strings.Contains(out, "Resource temporarily unavailable") {
			t.Errorf("%.60s: status 0, want a refusal; output %.200q", script, out)
		}
	}
}

// What a pipe keeps going is no runaway loop, however much comes out of it.
func TestALoopThatReadsAPipeGoesOn(t *testing.T) {
	out, status := run(t, `yes | { n=0; while read l; do n=$((n+1)); test $n -lt 51000 || break; done; echo $n; }`, "")
	if out != "51000\n" || status != 0 {
		t.Errorf("%.200q, status %d; want 51000 lines read", out, status)
	}
}

// What the shell does not know fails with a message, and nothing panics.
func TestShellRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, script := range []string{
		`cat <(echo x)`, `echo x 3>f | cat`, `echo x >&9 | cat`, `select x in a; do :; done`, `coproc cat`,
		`let x=1`, `a[3]=x`, `declare -n r=x; nameref q=x`, `for ((i=0;i<3;i++)); do :; done`, `time true`,
		`read -s x`, `set -Z`, `[[ -R x ]]`, `trap`, `echo ${x@P}`, `declare =x`, `shopt -p`, `echo ${!x}`,
	} {
		out, status := run(t, script+" | cat\n"+script, "")
		if status == 0 && out == "" && script != "trap" && script != "echo ${!x}" {
			t.Errorf("%s: no message and status 0", script)
		}
	}
}

// Nothing that a script does reaches the host: no file is seen, made or removed
// there, no program runs and no variable is inherited.
func TestShellDoesNotTouchTheHost(t *testing.T) {
	host := t.TempDir()
	secret := filepath.Join(host, "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOST_SECRET", "of the host")
	t.Setenv("TMPDIR", host)
	for _, script := range []string{
		`cat ` + secret, `. ` + secret, `x=$(<` + secret + `)`, `echo x > ` + secret, `cd ` + host, `pushd ` + host,
		`[ -e ` + secret + ` ]`, `[ -r ` + secret + ` ]`, `[[ -w ` + secret + ` ]]`, `/bin/sh -c true`, `exec /bin/true`,
		`test -d ` + host, `[ -n "$HOST_SECRET" ]`, `cat <(true)`, `type -p sh`, `command -v sh`, `bash`, `[ -x /usr/bin/env ]`,
		`export PATH=/usr/bin:/bin; ls`, `echo x > ` + filepath.Join(host, "sh-interp-1"), `cat /proc/self/environ`,
		`echo ` + host + `/* | cat; [ -e ` + host + ` ]`,
	} {
		out, status := run(t, script, "")
		if status == 0 || strings.Contains(out, "of the host") {
			t.Errorf("%s: status %d, output %q", script, status, out)
		}
	}
	entries, err := os.ReadDir(host)
	if err != nil || len(entries) != 1 {
		t.Errorf("the host's directory holds %v (%v), want the secret alone", entries, err)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "of the host" {
		t.Errorf("the host's file is now %q (%v)", data, err)
	}
}
