package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// Ctrl-C is told once, as what it is, with what follows; a failure of its own is told
// with it.
func TestInterrupted(t *testing.T) {
	signal := errors.New("interrupt signal received")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := &core.Error{Op: "deploy", Kind: core.Backend, Err: errors.New("the disk is gone")}
	if err := interrupted(ctx, failed); !errors.Is(err, failed) || err.Error() != failed.Error() {
		t.Errorf("without Ctrl-C: %v", err)
	}
	cancel(signal)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{signal, "interrupted"},
		{fmt.Errorf("read: %w", context.Canceled), "interrupted"},
		{&core.Error{Op: "deploy", Node: "n1", Kind: core.Timeout, Err: signal, Hint: "the same request goes on with it; or release it"}, "interrupted; the same request goes on with it; or release it"},
		{failed, "interrupted: deploy: backend: the disk is gone"},
	} {
		err := interrupted(ctx, tt.err)
		if err.Error() != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%v is told as\n%v, want\n%s", tt.err, err, tt.want)
		}
	}
	if err := interrupted(ctx, nil); err != nil {
		t.Errorf("what was done is told as %v", err)
	}
}

// TestEveryCommandIsExplained wants a summary of each command, and an example of
// commands and flags that there are.
func TestEveryCommandIsExplained(t *testing.T) {
	root := newRoot(&app{})
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" {
			t.Errorf("%s has no summary", path)
		}
		if !cmd.HasSubCommands() && cmd.Example == "" && cmd.Name() != "help" {
			t.Errorf("%s has no example", path)
		}
		own := false
		for line := range strings.Lines(cmd.Example) {
			own = strings.HasPrefix(checkExample(t, root, path, line), path) || own
		}
		if cmd.Example != "" && !own {
			t.Errorf("no example of %s runs it", path)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// checkExample returns the command that the line runs.
func checkExample(t *testing.T, root *cobra.Command, path, line string) string {
	t.Helper()
	// What comes after the command's own words is another program's.
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " -- ")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "metalpool" {
		t.Errorf("an example of %s does not begin with metalpool: %s", path, line)
		return ""
	}
	cmd, _, err := root.Find(words[1:])
	if err != nil {
		t.Errorf("an example of %s: %v: %s", path, err, line)
		return ""
	}
	for _, word := range words {
		name, isFlag := strings.CutPrefix(word, "--")
		if name, _, _ = strings.Cut(name, "="); isFlag && cmd.Flag(name) == nil {
			t.Errorf("an example of %s has --%s, which there is not: %s", path, name, line)
		}
	}
	return cmd.CommandPath()
}
