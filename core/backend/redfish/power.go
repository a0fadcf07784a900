package redfish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// Power is one request where the links are known.
func (b *conversation) Power(ctx context.Context) (core.PowerState, error) {
	var state core.PowerState
	err := b.verb(ctx, "read power", func(t talk) (err error) {
		state, err = t.power()
		return err
	})
	if err != nil {
		return core.PowerUnknown, err
	}
	return state, nil
}

// SetPower sends On and off commands whatever the state shows, since a state that
// is shown may be wrong, and reads back until it is as asked.
func (b *conversation) SetPower(ctx context.Context, verb core.PowerVerb) error {
	return b.verb(ctx, "set power "+string(verb), func(t talk) error {
		switch verb {
		case core.TurnOn:
			return t.turnOn()
		case core.TurnOff:
			return t.turnOff()
		case core.ShutDown:
			return t.shutDown()
		case core.PowerRestart:
			return t.restart()
		}
		return invalid("set power", fmt.Errorf("there is no power verb %q", string(verb)), "")
	})
}

func (t talk) power() (core.PowerState, error) {
	var s struct{ PowerState text }
	_, err := t.get(t.links[linkSystem], &s)
	return powerState(s.PowerState), err
}

func powerState(s text) core.PowerState {
	switch s {
	case "On":
		return core.PowerOn
	case "Off":
		return core.PowerOff
	case "PoweringOn", "PoweringOff":
		return core.PowerChanges
	}
	return core.PowerUnknown
}

func (t talk) turnOn() error {
	reset, err := t.resetType("On", "ForceOn")
	if err != nil {
		return err
	}
	return t.reset(reset, core.PowerOn)
}

func (t talk) turnOff() error {
	reset, err := t.resetType("ForceOff")
	if err != nil {
		return err
	}
	return t.reset(reset, core.PowerOff)
}

// shutDown gives the operating system time, but leaves enough of the context's for
// the fallback to be read back.
func (t talk) shutDown() error {
	state, err := t.power()
	if err != nil || state == core.PowerOff {
		return err
	}
	grace := t.options.Grace
	if end, ok := t.ctx.Deadline(); ok {
		grace = min(grace, time.Until(end)/2)
	}
	if reset, err := t.resetType("GracefulShutdown"); err == nil {
		err := t.post(t.links[linkReset], resetTo(reset))
		switch outcomeOf(err, t.manners.Busy) {
		case futile:
			return err
		case taken, unknown:
			_, off, err := t.until(grace, t.shows(core.PowerOff))
			if err != nil || off {
				return err
			}
		}
	}
	return t.turnOff()
}

// restart does not leave it to the BMC: some hang, some have no such reset.
func (t talk) restart() error {
	if err := t.turnOff(); err != nil {
		return err
	}
	if err := t.wait(time.Duration(t.manners.RestPolls) * t.options.Poll); err != nil {
		return err
	}
	return t.turnOn()
}

func resetTo(resetType string) any { return map[string]string{"ResetType": resetType} }

// reset sends one reset and reads back; again only what was refused and is still
// needed, since BMCs refuse what is so already in the same words as what cannot be
// now.
func (t talk) reset(resetType string, want core.PowerState) error {
	once := t
	once.client = t.api.WithContext(context.WithValue(t.ctx, onceKey{}, true))
	for try := 1; ; try++ {
		err := t.settle(
			func() error {
				err := once.post(t.links[linkReset], resetTo(resetType))
				// No server has changed its power by the time of the answer: a look at once is
				// one for nothing. Where the context ends here, the look says so.
				_ = t.wait(t.options.First)
				return err
			},
			t.shows(want),
		)
		if outcomeOf(err, t.manners.Busy) != refused {
			return err
		}
		state, stateErr := t.resting()
		switch {
		case stateErr != nil || state == want:
			return stateErr
		case try >= t.resetTries(err):
			return err
		}
		if err := t.wait(t.options.Retry << (try - 1)); err != nil {
			return err
		}
	}
}

// resetTries is how often a reset may be sent that was refused with err.
func (t talk) resetTries(err error) int {
	var answer *schemas.Error
	if errors.As(err, &answer) && passing(answer, t.manners.Busy) {
		return max(4, t.manners.ResetTries)
	}
	return t.manners.ResetTries
}

// resting waits while the power changes, which is a time for refusals.
func (t talk) resting() (state core.PowerState, err error) {
	_, _, err = t.until(t.options.Settle, func() (bool, string, error) {
		state, err = t.power()
		return state != core.PowerChanges, "power " + string(state), err
	})
	return state, err
}

func (t talk) shows(want core.PowerState) func() (bool, string, error) {
	return func() (bool, string, error) {
		state, err := t.power()
		return state == want, "power " + string(state), err
	}
}

// resetType is the first of those wanted that the BMC allows; one that does not
// tell is trusted to know the first.
func (t talk) resetType(wanted ...string) (string, error) {
	if t.links[factResets] == "" {
		return wanted[0], nil
	}
	allowed := strings.Split(t.links[factResets], ",")
	for _, w := range wanted {
		if slices.Contains(allowed, w) {
			return w, nil
		}
	}
	return "", &missingError{fmt.Sprintf("reset %s; it has %s", strings.Join(wanted, " or "), strings.Join(allowed, ", "))}
}
