package core

import (
	"cmp"
	"context"
	"fmt"
)

// coldStart is how an OS is started without the agent's help: the BMC turns the
// server off and on, and its firmware finds the disk. Nobody can ask for it.
const coldStart BootMode = "cold"

// handover decides how the ramdisk hands over to the OS: as this attempt has come to
// do it, else as the node says, else as the image says.
func handover(at Attempt, spec NodeSpec, image Image) BootMode {
	return cmp.Or(at.Handover, spec.Boot, image.Boot, Kexec)
}

// bootOS leaves the ramdisk for the OS on the disk. A way that turned out to lead
// nowhere is written down before another one is gone, so that nobody tries it again.
func bootOS(ctx context.Context, w *work) error {
	image, err := w.image(ctx)
	if err != nil {
		return err
	}
	mode := handover(w.attempt, w.node.Spec, image)
	if mode == Kexec {
		if err = w.leave(ctx, Kexec); Is(err, Backend) {
			mode = Reboot
			note := w.event(Note, stepBoot, fmt.Sprintf("kexec is not possible (%v); going through the firmware instead%s", err, w.agentsWords(ctx, stepBoot)))
			if err := w.save(ctx, func(a *Attempt) { a.Handover = Reboot }, note); err != nil {
				return err
			}
		}
	}
	if mode == Reboot {
		err = w.reboot(ctx)
	}
	if mode == coldStart {
		err = w.startCold(ctx)
	}
	if err == nil {
		w.put(func(a *Attempt) { a.Handover = mode })
	}
	return err
}

// leave tells the agent to go. Each mode is a command of its own: one that failed
// would only answer so again. An agent that is heard no more may have left, or may not
// even have told the firmware of the disk, which then starts whatever it knows: another
// one is started, finds all that was written, and sees to both.
func (w *work) leave(ctx context.Context, mode BootMode) error {
	agent, err := w.agent()
	if err != nil {
		return err
	}
	err = agent.Boot(ctx, w.command(stepBoot+" by "+string(mode)), BootOrder{Disk: w.attempt.Disk, Mode: mode})
	w.talk.end() // whoever listens there from now on is another one
	if !Is(err, Transient, Timeout) || ctx.Err() != nil {
		return err
	}
	w.say(stepBoot, "the agent is silent; starting the ramdisk again")
	if err := w.save(ctx, func(a *Attempt) { delete(a.Met, stepRamdisk) }, w.event(StepFailed, stepBoot, reason(err, stepBoot, w.node.ID))); err != nil {
		return err
	}
	return errStartedOver
}

// reboot has the agent restart the server. The media are gone before, or firmware
// that looks at them first would start the ramdisk again; the agent itself runs from
// memory. Some BMCs do not eject what a running server has in use: then the agent
// leaves all the same, for that readies the disk, and the server is stopped on its
// way through the firmware.
func (w *work) reboot(ctx context.Context) error {
	inUse := ejectMedia(ctx, w)
	if inUse != nil && (!Is(inUse, Backend, Timeout) || ctx.Err() != nil) {
		return inUse
	}
	err := w.leave(ctx, Reboot)
	if err != nil || inUse == nil {
		return err
	}
	w.say(stepBoot, "the media stay while the server runs (%v): turning it off and on", inUse)
	return w.startCold(ctx)
}

func (w *work) startCold(ctx context.Context) error {
	bmc, err := w.conn(ctx)
	if err != nil {
		return err
	}
	if err := bmc.SetPower(ctx, TurnOff); err != nil {
		return err
	}
	if err := ejectMedia(ctx, w); err != nil {
		return err
	}
	return bmc.SetPower(ctx, TurnOn)
}

func ejectMedia(ctx context.Context, w *work) error {
	bmc, err := w.conn(ctx)
	if err != nil {
		return err
	}
	if err := bmc.EjectMedia(ctx); err != nil {
		return err
	}
	return bmc.ClearBoot(ctx)
}
