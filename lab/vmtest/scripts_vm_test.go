//go:build vm

package vmtest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// The operator's scripts in the real ramdisk, by BusyBox: whatever they do there, they cost
// their own time, and the clean goes on.
func TestVMScripts(t *testing.T) {
	r := emptyRack(t, small)
	r.waits(func(*core.Timeouts) {})
	script := func(name, run string) core.Step {
		return core.Step{Name: name, Phase: core.PhaseCleaned, OnFailure: core.FailNothing, Timeout: core.Span(5 * time.Minute), Script: &core.ScriptStep{Run: run}}
	}
	looks := script("looks", `cat settings; echo "$METALPOOL_NODE $RACK $(id -u)"; wget --help 2>&1 | head -n 1 | cut -d ' ' -f 1`)
	looks.Script.Files, looks.Script.Env = map[string]string{"settings": "cache = on\n"}, map[string]string{"RACK": "of {{.Pool}}"}
	hangs := script("hangs", "echo begins; trap '' TERM; sleep 12345 & sleep 12345; sleep 12345")
	hangs.Timeout = core.Span(5 * time.Second)
	const counts = "ps -o args | grep -c '[s]leep 12345'; sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/1/status"
	all := []core.Step{
		looks, hangs, script("fails", "echo reason >&2; exit 3"), script("floods", "yes | head -c 104857600; echo last"), script("left", counts),
		script("restarts", "sync; reboot -f; sleep 12345"), script("between", "echo again"),
		script("cuts", "for port in /sys/class/net/e*; do ip addr flush dev ${port##*/}; done; sleep 12345"), script("after", "echo again"),
	}
	profile := core.Profile{Name: "base"}
	for _, s := range all {
		profile.Steps = append(profile.Steps, s.Name)
	}
	_, err := r.Apply(t.Context(), core.Declaration{By: core.DeclaredIn("test"), Steps: all, Profiles: []core.Profile{profile}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &profile.Name}}}, core.ApplyOptions{})
	try(t, err)
	r.enroll()
	r.finish()
	r.is(core.Available)

	said, warned, boots := map[string]string{}, map[string]string{}, 0
	events, err := r.Events(t.Context(), core.EventFilter{Node: r.node.ID()})
	try(t, err)
	for _, ev := range events {
		name := strings.TrimPrefix(ev.Step, "step ")
		switch {
		case ev.Type == core.StepOutput:
			said[name] += ev.Message
		case ev.Type == core.StepWarned:
			warned[name] += ev.Message
		case ev.Type == core.StepMet && ev.Step == "boot ramdisk":
			boots++
		}
	}
	for name, want := range map[string]string{
		"looks": fmt.Sprintf("cache = on\n%s of default 0\nBusyBox\n", r.node.ID()), "hangs": "begins\n", "fails": "reason\n", "between": "again\n", "after": "again\n",
	} {
		if said[name] != want {
			t.Errorf("%s said %q", name, said[name])
		}
	}
	for name, why := range map[string]string{
		"looks": "", "hangs": "it was ended after 5s", "fails": "it ended with status 3", "floods": "", "left": "",
		"restarts": "the ramdisk that it ran in is gone", "between": "", "cuts": "the ramdisk that it ran in is gone", "after": "",
	} {
		if (warned[name] == "") != (why == "") || !strings.Contains(warned[name], why) {
			t.Errorf("%s warned %q", name, warned[name])
		}
	}
	if flood := said["floods"]; len(flood) > 40<<10 || !strings.HasSuffix(flood, "y\nlast\n") {
		t.Errorf("of a flood %d bytes are kept, with the end %q", len(flood), flood[max(0, len(flood)-20):])
	}
	left := strings.Fields(said["left"])
	if len(left) != 2 || left[0] != "0" {
		t.Fatalf("what hung has left %q", said["left"])
	}
	if kib, err := strconv.Atoi(left[1]); err != nil || kib > 200<<10 {
		t.Errorf("the agent took %s KiB, %v", left[1], err)
	}
	if boots != 3 {
		t.Errorf("the ramdisk was started %d times", boots)
	}
}
