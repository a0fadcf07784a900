package shell_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

// full is an output that takes so much and no more.
type full struct{ left atomic.Int64 }

func (f *full) Write(p []byte) (int, error) {
	if f.left.Add(-int64(len(p))) < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

// Whatever is typed, the process goes on: nothing panics and everything ends.
func FuzzRun(f *testing.F) {
	for _, script := range []string{
		"echo a | cat", "f() { f | f; }; f", "cat <(x)", "echo x 3>&1", "unset ''", "a=(1 2); echo ${a[@]:1}", "${!x}", "${x@Q}", "read a b <<<x",
		"case x in *) ;; esac", "[[ -v '' ]]", "set -e; trap 'x' EXIT; exit", "for i in {1..3}; do :; done", "declare =x", "$((1/0))", "printf '%d' x", "~nobody",
		"while read l; do echo $l; done < /etc/hosts", "x=$(<f)", "if [ -z", "! !", "eval eval eval", ". /etc/hosts", "exec >&- 2>&-", "cd ..; cd //; pwd -P", "local x",
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if strings.Contains(script, "..") && strings.ContainsAny(script, "{") {
			t.Skip("a brace range may ask the expander for any amount of memory")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		out := &full{}
		out.left.Store(1 << 20)
		sh := shell.New(fewPrograms{}, &shell.Process{
			Args: []string{"bash"}, Env: []string{"PATH=/bin", "HOME=/root"}, Dir: "/root", Files: newFiles(t), In: strings.NewReader("a\nb\n"), Out: out, Err: io.Discard,
		})
		sh.Run(ctx, script)
		sh.Finish(ctx)
		sh.Wait()
	})
}
