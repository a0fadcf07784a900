package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
)

// upText is what to do with a lab that is ready. It is typed in another terminal, which
// knows nothing of this one's flags and environment.
func upText(v upView, rack *lab.Lab) string {
	nodes := rack.Nodes()
	exports := ""
	if usual, err := usualLab(); err != nil || v.Dir != usual {
		exports = "export METALPOOL_LAB=" + shellWord(v.Dir) + "\n  "
	}
	exports += "export METALPOOL_URL=" + shellWord(filepath.Join(v.Dir, "pool.db"))
	image := shellWord(filepath.Join(v.Dir, "lab.img"))
	steps := fmt.Sprintf("metalpool lab image %s\n  metalpool image add lab --source %[1]s --user debian", image)
	if nodes[0].Virtual() {
		steps = "metalpool image add lab --source DISK.img --user USER     (a real one, such as 'make image' makes)"
		if made := madeImage(); made != "" {
			steps = "metalpool image add lab --source " + shellWord(made) + " --user debian"
		}
	}
	if keys, err := ownKeys(); err != nil || len(keys) == 0 {
		steps = "ssh-keygen -t ed25519     (machines let your key in, and ~/.ssh has none)\n  " + steps
	}
	return fmt.Sprintf(`%s Ctrl-C ends the lab; disks and identities are kept.
In another terminal:

  %s
  %s
  metalpool pool set default --image lab
  metalpool node enroll --from %s --erase --wait
  metalpool machine create web-1
  metalpool machine ssh web-1
  metalpool machine release web-1 --wait

and 'metalpool watch' in a third one, after the same export, shows the rack at work.
`, rackText(len(nodes), stretch(nodes[0].ID(), nodes[len(nodes)-1].ID()), stretch(nodes[0].Address(), nodes[len(nodes)-1].Address()), rack.Accel()), exports, steps, shellWord(v.Rack))
}

// rackText says what there is. What runs processors matters most to how long all takes.
func rackText(count int, ids, addresses string, accel qemu.Accel) string {
	text := fmt.Sprintf("%s, %s, at %s.", plural(count, "node"), ids, addresses)
	switch accel {
	case "": // they are simulated
	case qemu.KVM:
		text += " KVM runs their processors."
	default:
		text += " Their processors are emulated, about ten times slower than with KVM."
	}
	return text
}

// stretch is from the first to the last of several, or the only one.
func stretch[T ~string](first, last T) string {
	if first == last {
		return string(first)
	}
	return string(first + " to " + last)
}

// madeImage is the image that 'make image' made beside this program, or in the folder
// that we are in; empty where there is none.
func madeImage() string {
	folders := []string{"bin"}
	if self, err := os.Executable(); err == nil {
		folders = append([]string{filepath.Dir(self)}, folders...)
	}
	for _, folder := range folders {
		path, err := filepath.Abs(filepath.Join(folder, "debian-12-docker.raw"))
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// runningLab is the pool of the lab that runs, for who has named no pool at all; empty
// where none does.
func (a *app) runningLab(ctx context.Context) string {
	if a.url != "" || os.Getenv(open.EnvURL) != "" {
		return ""
	}
	var dir labDir
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	client, err := dir.connect()
	if err == nil {
		_, err = client.Status(ctx)
	}
	path, pathErr := dir.path()
	if err != nil || pathErr != nil {
		return ""
	}
	return filepath.Join(path, "pool.db")
}

// plainWord is what a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord is a text as one word of a shell's.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// movedText is how to tell a pool of a rack that has other addresses now.
func movedText(from string, rack *lab.Lab) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The rack moved from %s to %s. A pool that has enrolled it still calls the old addresses;", from, rack.Net())
	if rack.Nodes()[0].Virtual() { // where its agent is reached, node set does not say
		b.WriteString(" there, release its machines,\nthen 'metalpool node retire' its nodes and enroll them again.")
		return b.String()
	}
	b.WriteString(" tell it:\n")
	for _, n := range rack.Rack().Nodes {
		fmt.Fprintf(&b, "\n  metalpool node set %s --bmc %s --address %s", n.ID, n.BMC.URL, n.Address)
	}
	return b.String() + "\n"
}
