package bmc

import (
	"slices"
	"time"
)

// move is what a reset does to the machine.
type move int

const (
	stay move = iota
	turnOn
	turnOff
	shutDown
	restart
	restartGracefully
)

// decide says what a reset of the given type does in a state, or why nothing.
func decide(resetType string, state PowerState) (move, Cause) {
	running := state == On || state == PoweringOn
	switch resetType {
	case "On", "ForceOn":
		switch state {
		case Off:
			return turnOn, ""
		case PoweringOff:
			return stay, PowerSettling
		}
		return stay, PowerUnchanged
	case "ForceOff":
		if state == Off {
			return stay, PowerUnchanged
		}
		return turnOff, ""
	case "GracefulShutdown":
		if !running {
			return stay, PowerUnchanged
		}
		return shutDown, ""
	case "ForceRestart", "PowerCycle", "GracefulRestart":
		switch {
		case state == Off:
			return stay, PowerIsOff
		case state == PoweringOff:
			return stay, PowerSettling
		case resetType == "GracefulRestart":
			return restartGracefully, ""
		}
		return restart, ""
	case "PushPowerButton":
		switch {
		case state == Off:
			return turnOn, ""
		case running:
			return shutDown, ""
		}
		return stay, PowerSettling
	}
	return stay, "" // Nmi
}

// powerState is the power as the BMC sees it.
func (b *BMC) powerState() PowerState {
	b.mu.Lock()
	frozen := b.frozen
	b.mu.Unlock()
	if frozen {
		return On
	}
	return b.config.Machine.Power()
}

// inPOST says whether the machine was started a short while ago.
func (b *BMC) inPOST() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.config.Now().Before(b.postUntil)
}

func (b *BMC) systemReset(r *request) (resource, bool) {
	return resource{post: b.reset, writes: is(Reset)}, r.ids[0] == b.manners.SystemID
}

func (b *BMC) reset(r *request) answer {
	const action = "ComputerSystem.Reset"
	m := check(r.object, []param{{name: "ResetType", values: b.manners.ResetTypes, needed: true}}, "",
		func(p string) Message { return parameterUnknown(p, action) },
		func(p string) Message { return parameterMissing(p, action) })
	if m != nil {
		return b.fail(*m)
	}
	resetType := stringOf(r.object, "ResetType")

	b.power.Lock()
	defer b.power.Unlock()
	what, cause := decide(resetType, b.powerState())
	if cause != "" {
		return b.refuse(cause)
	}
	if b.hangs(resetType, what) {
		return b.done()
	}
	if what == turnOn && b.stillOff() {
		return b.refuse(PowerSettling)
	}
	if r.fault != nil && r.fault.Kind == Forget {
		b.update(func(s *State) { s.Setup.forgetAll() })
	}
	b.act(what)
	return b.done()
}

// act is the one place that moves the machine's power.
func (b *BMC) act(what move) {
	machine := b.config.Machine
	b.mu.Lock()
	switch what {
	case turnOn, restart, restartGracefully:
		b.postUntil = b.config.Now().Add(b.config.POST)
	case turnOff, shutDown:
		b.postUntil = time.Time{}
		b.onRefusals = b.manners.OnRefusedAfterOff
	}
	b.mu.Unlock()
	switch what {
	case turnOn:
		machine.PowerOn()
	case turnOff:
		machine.PowerOff(false)
	case shutDown:
		machine.PowerOff(true)
	case restart:
		machine.Restart(false)
	case restartGracefully:
		machine.Restart(true)
	}
}

// hangs lets a machine freeze in a forced restart, or stay frozen: nothing runs
// on it, its power reads On, and only ForceOff helps.
func (b *BMC) hangs(resetType string, what move) bool {
	b.mu.Lock()
	frozen := b.frozen
	if frozen {
		b.frozen = resetType != "ForceOff"
		b.mu.Unlock()
		return true
	}
	b.frozen = b.manners.ForceRestartHangs && resetType == "ForceRestart" && what == restart
	frozen = b.frozen
	b.mu.Unlock()
	if frozen {
		b.config.Machine.PowerOff(false)
	}
	return frozen
}

// stillOff refuses the first requests for On after an Off, with some vendors.
func (b *BMC) stillOff() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onRefusals == 0 {
		return false
	}
	b.onRefusals--
	return true
}

// powerDoc is the power state that a client is told.
func (b *BMC) powerDoc(r *request) PowerState {
	state := b.powerState()
	if r.fault != nil && r.fault.Kind == Lie {
		return r.fault.lie(state)
	}
	return state
}

// bootProgress is a guess from the power, which is all that the BMC sees.
func (b *BMC) bootProgress(state PowerState) string {
	switch {
	case state == Off:
		return "None"
	case state == PoweringOn || b.inPOST():
		return "PrimaryProcessorInitializationStarted"
	}
	return "OSBootStarted"
}

func (b *BMC) managerReset(r *request) (resource, bool) {
	return resource{post: b.restartManager}, r.ids[0] == b.manners.ManagerID
}

// managerResets are the ways to restart the BMC itself.
var managerResets = []string{"GracefulRestart", "ForceRestart"}

// restartManager forgets what a BMC forgets when it starts anew: sessions and
// media. It answers again at once.
func (b *BMC) restartManager(r *request) answer {
	const action = "Manager.Reset"
	m := check(r.object, []param{{name: "ResetType", values: managerResets}}, "",
		func(p string) Message { return parameterUnknown(p, action) },
		func(p string) Message { return parameterMissing(p, action) })
	if m != nil {
		return b.fail(*m)
	}
	b.mu.Lock()
	b.sessions = nil
	b.onRefusals = 0
	slots := slices.Clone(b.slots)
	b.mu.Unlock()
	for _, s := range slots {
		b.empty(s)
	}
	return b.done()
}
