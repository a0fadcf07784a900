package main

import (
	"bytes"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestProgressInPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := (&app{err: &out}).progress()
	p.report(core.Progress{Step: "queue", Message: "waiting for a node"})
	p.report(core.Progress{Node: "n1", Step: "boot ramdisk"})
	p.report(core.Progress{Node: "n1", Step: "boot ramdisk", Message: "powered on"})
	p.report(core.Progress{Node: "n1", Step: "boot ramdisk", Message: "powered on"})
	for done := core.Bytes(0); done <= 100; done++ {
		p.report(core.Progress{Node: "n1", Step: "write image", Done: done * core.TiB, Total: 100 * core.TiB})
	}
	p.line("%s is ready\n", "web-1")
	p.report(core.Progress{Node: "n1", Step: "ssh", Message: "steer\x1b[2J\nme"})
	p.stop()
	p.report(core.Progress{Node: "n1", Step: "late"})
	p.line("after")
	want := `queue: waiting for a node
n1: boot ramdisk
n1: boot ramdisk: powered on
n1: write image
n1: write image: 20% of 100 TiB
n1: write image: 40% of 100 TiB
n1: write image: 60% of 100 TiB
n1: write image: 80% of 100 TiB
n1: write image: 100% of 100 TiB
web-1 is ready
n1: ssh: steer me
after
`
	if got := out.String(); got != want {
		t.Errorf("progress was\n%s\nwant\n%s", got, want)
	}
}

// The columns of progress stand still, however long the names of an operator's steps are.
func TestStepsStandInColumns(t *testing.T) {
	for _, line := range []string{
		stepLine("n1", "ssh", "310ms"), stepLine("n1", "remove management key", "10ms"),
		stepLine("r1-n07", "step monitoring-agent", "12m30s"), stepLine("r1-n07", "step monitoring-agent-of-the-site", "0s"),
	} {
		if n := len([]rune(line)); n != 44 {
			t.Errorf("%d characters: %q", n, line)
		}
	}
}

// TestBars draws for real, into a buffer: many nodes at once, lines between, and
// nothing left that waits.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	p := (&app{err: &out}).progress()
	p.bars = newBars(&out)
	var all sync.WaitGroup
	for _, node := range []core.NodeID{"n1", "n2", "n3"} {
		all.Go(func() {
			p.report(core.Progress{Node: node, Step: "boot ramdisk", Message: "powered on"})
			for done := range core.Bytes(50) {
				p.report(core.Progress{Node: node, Step: "write image", Done: done * core.MiB, Total: 50 * core.MiB})
			}
			p.line("%s is written", node)
		})
	}
	all.Wait()
	p.stop()
	p.stop()
	p.report(core.Progress{Node: "n4", Step: "late"})
	for _, want := range []string{"n1 is written\n", "n2 is written\n", "n3 is written\n", "  boot ramdisk  "} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("%q is not in\n%q", want, out.String())
		}
	}
	if bytes.Contains(out.Bytes(), []byte("late")) {
		t.Error("what came after the end is shown")
	}
}
