package core

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// A BMC may have kept what a server printed for the owner before, and its log has no
// times. So our ramdisk begins each boot with a mark that nobody knew until then: what
// stands after it was printed since. The OS that it deploys prints its SSH host keys,
// which are as new; a BMC that keeps little has forgotten the ramdisk by then.

// ConsoleMark is what the ramdisk prints on the console when a boot begins. It tells
// nothing of the boot's ID, which leads to its media.
func ConsoleMark(boot string) string {
	sum := sha256.Sum256([]byte("metalpool console\n" + boot))
	return "boot-" + hex.EncodeToString(sum[:12])
}

// keyMarks are the texts by which a machine tells its public host keys: cloud-init
// prints the keys, and their fingerprints.
func keyMarks(keys []string) (marks []string) {
	for _, key := range keys {
		fields := strings.Fields(key)
		if len(fields) < 2 {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil || len(blob) == 0 {
			continue
		}
		sum := sha256.Sum256(blob)
		marks = append(marks, fields[1], "SHA256:"+base64.RawStdEncoding.EncodeToString(sum[:]))
	}
	return marks
}

// marks are what was printed first in an attempt.
func (a Attempt) marks() []string {
	return append(slices.Clone(a.ConsoleMarks), keyMarks(a.PublicHostKeys)...)
}

// sinceMark is what follows the line of the first mark; found is false where there is
// none, and nothing tells what is older.
func sinceMark(text string, marks []string) (since string, found bool) {
	first := -1
	for _, mark := range marks {
		if at := strings.Index(text, mark); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first < 0 {
		return "", false
	}
	_, since, _ = strings.Cut(text[first:], "\n")
	return since, true
}

// MachineConsole is ConsoleTail for whoever has a machine and operates no pool: of what
// the BMC has kept only what was printed since the machine's last deploy began. It is
// Denied where that cannot be told apart.
func (e *Engine) MachineConsole(ctx context.Context, id AllocationID, lines int) ([]string, error) {
	a, at, err := e.deployedNow(ctx, id)
	if err != nil {
		return nil, err
	}
	refused := func(why, hint string) error {
		return &Error{Op: "read the console", Node: a.Node, Allocation: a.Name, Kind: Denied, Err: errors.New(why), Hint: hint}
	}
	marks := at.marks()
	if len(marks) == 0 {
		return nil, refused("nothing was deployed yet, and what its BMC has kept is of who had the server before", "deploy first; the pool's operator sees all of it")
	}
	text, err := e.heardOf(ctx, a.Node)
	if err != nil {
		return nil, err
	}
	since, found := sinceMark(text, marks)
	if !found {
		return nil, refused("what its BMC tells has no sign of this machine's deploy: it may be of who had the server before", "ask the pool's operator, who sees all of it; it shows again after the next deploy")
	}
	// Whoever got the server while we listened has printed after the mark, too.
	if _, now, err := e.deployedNow(ctx, id); err != nil || now.ID != at.ID {
		if err == nil {
			err = refused("it is deployed anew meanwhile", "try again")
		}
		return nil, err
	}
	return lastLines(since, lines), ctx.Err()
}

// deployedNow is an allocation that has its node, with the attempt that was the last
// there.
func (e *Engine) deployedNow(ctx context.Context, id AllocationID) (a Allocation, at Attempt, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		if a, err = tx.Allocation(id); err != nil {
			return err
		}
		if a.Node == "" || !a.State.Owned() {
			return &Error{Op: "read the console", Allocation: a.Name, Kind: Invalid, Err: errors.New("it has no server: it is " + string(a.State)), Hint: "see 'metalpool machine list'"}
		}
		n, err := tx.Node(a.Node)
		if err != nil || n.Allocation != id || n.Attempt == "" {
			return err
		}
		at, err = tx.Attempt(n.Attempt)
		if err == nil && at.Allocation != id {
			at = Attempt{}
		}
		return err
	})
	return a, at, err
}

func (e *Engine) heardOf(ctx context.Context, id NodeID) (string, error) {
	console, err := e.Console(ctx, id)
	if err != nil {
		return "", err
	}
	defer console.Close()
	return hear(ctx, console, consoleKept), nil
}

// lastLines are the last of a text's lines.
func lastLines(text string, most int) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-most):]
}
