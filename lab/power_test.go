package lab

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/lab/bmc"
)

// tape is a system that writes down what happens to it.
type tape struct {
	mu      sync.Mutex
	started time.Time
	lines   []string
	ends    []outcome // of the boots, in turn; then stays
	runs    bool      // boot does not return before its context ends
	os      bool
	obeys   bool          // the first boot lasts until it is asked to shut down
	asked   chan struct{} // closed when it is
}

func (s *tape) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s %s", time.Since(s.started), what))
}

func (s *tape) boot(ctx context.Context) outcome {
	s.note("boot")
	if s.asked != nil {
		<-s.asked
		s.asked = nil
		s.note("shut down")
		return turnsOff
	}
	if s.runs {
		<-ctx.Done()
		s.note("cut")
	}
	if len(s.ends) > 0 {
		end := s.ends[0]
		s.ends = s.ends[1:]
		return end
	}
	return stays
}

func (s *tape) halt() { s.note("halt") }

func (s *tape) shutDown(ctx context.Context) bool {
	if s.asked != nil { // a VM's: boot tells
		close(s.asked)
		return false
	}
	return s.os && wait(ctx, 5*time.Second)
}

// pass lets time pass in the test's bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestPower(t *testing.T) {
	times := Times{On: 3 * time.Second, Off: 2 * time.Second, POST: 10 * time.Second}
	for _, c := range []struct {
		name   string
		system *tape
		do     func(p *power)
		want   string // what happened
		states string // at 1s, 4s and 60s
		came   string // back to, after the lab's restart
	}{
		{"on", &tape{}, func(p *power) { p.on(); p.on() }, "13s boot", "PoweringOn On On", "on"},
		{"off before it is on", &tape{}, func(p *power) { p.on(); p.off() }, "0s halt", "PoweringOff Off Off", "off"},
		{"off in the firmware", &tape{}, func(p *power) { p.on(); pass(4 * time.Second); p.off(); p.off() }, "4s halt", "PoweringOff Off Off", "off"},
		{"off while it runs", &tape{runs: true}, func(p *power) { p.on(); pass(20 * time.Second); p.off() }, "13s boot|20s cut|20s halt", "PoweringOff Off Off", "off"},
		{"on while it goes off is lost", &tape{}, func(p *power) { p.on(); pass(4 * time.Second); p.off(); p.on() }, "4s halt", "PoweringOff Off Off", "off"},
		{"restart", &tape{runs: true}, func(p *power) { p.on(); pass(20 * time.Second); p.restart() }, "13s boot|20s cut|20s halt|30s boot", "On On On", "on"},
		{"restart when off is nothing", &tape{}, func(p *power) { p.restart(); p.off(); p.ask(false) }, "", "Off Off Off", ""},
		{"restart by itself", &tape{ends: []outcome{restarts, restarts}}, func(p *power) { p.on() }, "13s boot|13s halt|23s boot|23s halt|33s boot", "PoweringOn On On", "on"},
		{"off by itself", &tape{ends: []outcome{turnsOff}}, func(p *power) { p.on() }, "13s boot|13s halt", "PoweringOn On Off", "off"},
		{"asked", &tape{os: true}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(false) }, "13s boot|25s halt", "On On Off", "off"},
		{"asked to restart", &tape{os: true}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(true) }, "13s boot|25s halt|35s boot", "On On On", "on"},
		{"asked, and it turns off itself", &tape{obeys: true}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(false) }, "13s boot|20s shut down|20s halt", "PoweringOff Off Off", "off"},
		{"asked to restart, and it turns off itself", &tape{obeys: true}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(true) }, "13s boot|20s shut down|20s halt|30s boot", "On On On", "on"},
		{"asked, nobody listens", &tape{}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(false) }, "13s boot", "On On On", "on"},
		{"asked, then cut off", &tape{os: true}, func(p *power) { p.on(); pass(20 * time.Second); p.ask(true); p.off() }, "13s boot|20s halt", "PoweringOff Off Off", "off"},
		{"the cord", &tape{runs: true}, func(p *power) { p.on(); pass(20 * time.Second); p.cut() }, "13s boot|20s cut|20s halt", "Off Off Off", "off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.system.started = time.Now()
				if c.system.obeys {
					c.system.asked = make(chan struct{})
				}
				var came []string
				p := newPower(times, c.system, func(on bool) { came = append(came, map[bool]string{true: "on", false: "off"}[on]) })
				c.do(p)
				asked := time.Now()
				var states []string
				for _, at := range []time.Duration{time.Second, 4 * time.Second, time.Minute} {
					pass(time.Until(asked.Add(at)))
					synctest.Wait()
					states = append(states, string(p.now()))
				}
				got := strings.Join(c.system.lines, "|")
				if got != c.want || strings.Join(states, " ") != c.states {
					t.Errorf("%s, %s; want %s, %s", got, states, c.want, c.states)
				}
				if last := append([]string{""}, came...)[len(came)]; last != c.came {
					t.Errorf("it would come back %q, want %q", last, c.came)
				}
				p.close()
				if p.on(); p.now() != bmc.PowerState(states[2]) {
					t.Errorf("%s after the lab was closed", p.now())
				}
			})
		})
	}
}
