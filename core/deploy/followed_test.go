package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFollowed reads what a machine may say of a script.
func FuzzFollowed(f *testing.F) {
	for _, seed := range []string{"ended 0 3 6\nonetwo", "none 0 0 0", "runs 0 0 0\n", "unknown 0 0 0", "ended -7 99999999999999999999 0\n", "ended 0 -1 -9223372036854775808\nabc", "ended 0 9223372036854775807 9223372036854775807\nabc", "\x00 \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, said, _ := strings.Cut(text, "\n")
		is, err := parseFollowed(line, said)
		if err != nil {
			return
		}
		if string(is.head)+string(is.tail) != said {
			t.Errorf("of %q the head is %q and the tail %q", said, is.head, is.tail)
		}
		var heard bytes.Buffer
		is.tell(&heard)
		if heard.String() != said {
			t.Errorf("of %q it tells %q", said, heard.String())
		}
	})
}

// Whoever follows a run reads how much it has said while that is written down.
func TestTotalIsNeverHalfWritten(t *testing.T) {
	dir := t.TempDir()
	total, before := filepath.Join(dir, "total"), filepath.Join(dir, "before")
	if err := errors.Join(os.WriteFile(total, []byte("1\n"), 0o600), os.Link(total, before)); err != nil {
		t.Fatal(err)
	}
	keep := exec.CommandContext(t.Context(), "sh", "-c", keepOutput)
	keep.Dir, keep.Stdin = dir, strings.NewReader("hello")
	if out, err := keep.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	now, err := os.ReadFile(total)
	then, errThen := os.ReadFile(before)
	if errors.Join(err, errThen) != nil || string(now) != "5\n" || string(then) != "1\n" {
		t.Errorf("it says %q, %v, and who had opened it before reads %q, %v", now, err, then, errThen)
	}
}
