package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The names of the steps, as people see them in events and progress.
const (
	stepOff     = "power off"
	stepOn      = "power on" // told apart in the first half of stepRamdisk: servers take their time after it
	stepRamdisk = "boot ramdisk"
	stepInspect = "inspect"
	stepWrite   = "write image"
	stepSeed    = "write seed"
	stepBoot    = "boot"
	stepEject   = "eject media"
	stepSSH     = "ssh"
	stepErase   = "erase"
	stepPark    = "park"
)

// deploySteps put an OS on a node; cleanSteps erase it for the next owner; abandonSteps
// end a deploy that nobody goes on with.
var (
	deploySteps = []step{
		{name: stepRamdisk, timeout: Timeouts.boot, do: bootRamdisk},
		{name: stepInspect, timeout: Timeouts.power, do: inspect, ramdisk: true},
		{name: stepWrite, timeout: Timeouts.write, do: writeImage, ramdisk: true},
		{name: stepSeed, timeout: Timeouts.power, do: writeSeed, ramdisk: true},
		{name: stepBoot, timeout: Timeouts.boot, do: bootOS},
		{name: stepEject, timeout: Timeouts.power, do: ejectMedia},
		{name: stepSSH, timeout: Timeouts.ssh, do: awaitSSH, needed: func(a Attempt) bool { return a.WaitFor != UntilStarted }},
		{name: stepCloudInit, timeout: Timeouts.ssh, do: awaitCloudInit, needed: func(a Attempt) bool { return a.WaitFor == UntilCloudInit }},
		{name: stepSettle, timeout: Timeouts.ssh, do: settle, needed: func(a Attempt) bool { return a.WaitFor != UntilCloudInit && logsIn(a.Steps, PhaseDeployed) }},
		{name: stepForget, timeout: Timeouts.power, do: forgetLogin, needed: func(a Attempt) bool { return a.Login != nil && !a.KeepLogin }},
	}
	cleanSteps = []step{
		{name: stepOff, timeout: Timeouts.power, do: powerOff},
		{name: stepRamdisk, timeout: Timeouts.boot, do: bootRamdisk},
		{name: stepErase, timeout: Timeouts.erase, do: erase, ramdisk: true},
		{name: stepPark, timeout: Timeouts.boot, do: park},
	}
	abandonSteps = []step{
		{name: stepOff, timeout: Timeouts.power, do: powerOff},
		{name: stepEject, timeout: Timeouts.power, do: ejectMedia},
	}
)

// StepNames lists the steps that every pool has or may have, each once. Those that a pool was given
// besides have names of their own.
func StepNames() (names []string) {
	for _, s := range slices.Concat([]step{Attempt{}.setUp()}, deploySteps, cleanSteps, abandonSteps) {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

func (t Timeouts) power() time.Duration { return t.Power }
func (t Timeouts) boot() time.Duration  { return 2*t.Power + t.CheckIn }
func (t Timeouts) write() time.Duration { return t.Write }
func (t Timeouts) ssh() time.Duration   { return t.SSH }
func (t Timeouts) erase() time.Duration { return t.Erase }

// powerOff ends whatever runs. Off is read back by the backend. Where a living worker
// was fenced out, its last call may still be on its way, and may turn the server on
// again: what is said to the BMC after that is what stays.
func powerOff(ctx context.Context, w *work) error {
	bmc, err := w.conn(ctx)
	if err != nil {
		return err
	}
	if err := bmc.SetPower(ctx, TurnOff); err != nil {
		return err
	}
	quiet, err := w.quiet(ctx)
	if err != nil || quiet == 0 {
		return err
	}
	w.say(stepOff, "off; looking again in %s, once the last call of the worker that was stopped has ended", quiet.Round(time.Second))
	if err := wait(ctx, quiet); err != nil {
		return err
	}
	return bmc.SetPower(ctx, TurnOff)
}

// quiet is for how long the last call of a worker that was fenced out may still be on its
// way. By the store's clock it was written down, and ours may be another: only the distance
// there counts, which was never more than one call, wherever a clock has gone since.
func (w *work) quiet(ctx context.Context) (left time.Duration, err error) {
	if w.attempt.Quiet.IsZero() {
		return 0, nil
	}
	err = w.e.store.View(ctx, func(tx Tx) error {
		left = w.attempt.Quiet.Sub(tx.Now())
		return nil
	})
	return min(max(0, left), w.e.timing.Call), err
}

// bootRamdisk starts the agent from virtual media and waits for its check-in. Each
// call is a boot of its own, with new keys, a new token and a new URL: media that a
// dead worker left behind leads nowhere.
func bootRamdisk(ctx context.Context, w *work) error {
	if w.boots >= maxBoots {
		return &Error{Op: stepRamdisk, Node: w.node.ID, Kind: Timeout, Err: fmt.Errorf("started %d times, and the agent never stayed", w.boots), Hint: "look at the console; is this process reachable from the node (METALPOOL_ADVERTISE)?"}
	}
	limits := w.pool.Timeouts.OrDefaults()
	boot, secret, err := w.e.deployer.NewBoot(limits.CheckIn + limits.Write + limits.Erase)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	if boot.Secret, err = w.e.sealer.Seal(plain); err != nil {
		return err
	}
	offered := boot
	mark := ConsoleMark(boot.ID)
	if err := w.save(ctx, func(a *Attempt) {
		a.Boot, a.ConsoleMarks = &offered, append(slices.Clone(a.ConsoleMarks), mark)
	}); err != nil {
		return err
	}
	bmc, err := w.conn(ctx)
	if err != nil {
		return err
	}
	if err := bmc.SetPower(ctx, TurnOff); err != nil {
		return err
	}
	url, err := w.e.deployer.Offer(ctx, boot, secret, BootParams{
		Node: w.node.ID, Generation: w.lease.Generation, BMCHost: hostOf(w.node.Spec.BMC.URL),
		Advertise: w.node.Spec.Advertise, Agent: w.node.Spec.Agent, Network: w.node.Spec.Network, Silence: limits.CheckIn,
	})
	if err != nil {
		return err
	}
	w.withdraw() // a boot before this one leads nowhere any more
	w.offered = append(w.offered, boot.ID)
	w.e.boots.Store(boot.ID, w)
	if err := bmc.InsertMedia(ctx, url); err != nil {
		return err
	}
	if err := bmc.BootMediaOnce(ctx); err != nil {
		return err
	}
	// Counted once the BMC took everything: a passing fault of the BMC is no boot.
	w.boots++
	w.put(func(a *Attempt) { a.Boots++ })
	if err := bmc.SetPower(ctx, TurnOn); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, limits.CheckIn)
	defer cancel()
	until, _ := waiting.Deadline()
	awaited := "waiting for the agent " + span(time.Now(), until)
	w.note(ctx, StepMet, stepOn, awaited)
	w.say(stepRamdisk, "powered on, %s", awaited)
	agent, err := w.e.deployer.AwaitCheckIn(waiting, boot.ID)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return &Error{Op: stepRamdisk, Node: w.node.ID, Kind: Timeout, Err: fmt.Errorf("the agent did not check in within %s: %w%s", limits.CheckIn, err, w.consolesWords(ctx, stepRamdisk))}
		}
		return err
	}
	if why := strangers(w.node.Spec.Identity, agent.Identity); why != "" {
		return &Error{Op: stepRamdisk, Node: w.node.ID, Kind: Backend, Err: errors.New(why), Hint: "is the BMC's address that of another server? retire the node and enroll it again"}
	}
	boot.Agent = &agent
	w.put(func(a *Attempt) { a.Boot = &boot })
	return nil
}

// strangers says why two identities cannot be one server's; "" when they share a
// key that tells servers apart.
func strangers(enrolled, found Identity) string {
	for _, key := range enrolled.Keys() {
		if slices.Contains(found.Keys(), key) {
			return ""
		}
	}
	return fmt.Sprintf("another server answers: enrolled as %s, found %s", strings.Join(enrolled.Keys(), " "), strings.Join(found.Keys(), " "))
}

// inspect compares what the agent finds with the inventory, and chooses the disk.
func inspect(ctx context.Context, w *work) error {
	agent, err := w.agent()
	if err != nil {
		return err
	}
	inv, err := agent.Inventory(ctx)
	if err != nil {
		return err
	}
	if err := w.readVolumes(ctx); err != nil {
		return err
	}
	if missing := w.node.missingFrom(inv.Hardware.Disks); len(missing) > 0 {
		if w.attempt.volumesAfterStart() {
			return w.startAnew(ctx, stepInspect, "the ramdisk was there before the volumes; starting it again")
		}
		return &Error{Op: stepInspect, Node: w.node.ID, Kind: Backend, Err: fmt.Errorf("disks of the inventory are missing: %s", strings.Join(missing, ", ")), Hint: "look at the server; repair it or enroll it again"}
	}
	image, err := w.image(ctx)
	if err != nil {
		return err
	}
	disk, err := rootDisk(slices.DeleteFunc(inv.Hardware.Disks, w.node.Spec.RAID.hides), image.MinDisk)
	if err != nil {
		return withNode(err, w.node.ID)
	}
	ports := dhcpPorts(inv.Hardware.NICs, w.attempt.Boot.Agent.Peer)
	w.put(func(a *Attempt) { a.Disk, a.MACs = disk.Key(), ports })
	return nil
}

// dhcpPorts are the ports with a link, that of the agent first: the machine asks for
// its address there as the agent did.
func dhcpPorts(nics []NIC, agent string) []string {
	var macs []string
	for _, n := range nics {
		switch {
		case !n.LinkUp:
		case n.Address == agent:
			macs = append([]string{n.MAC}, macs...)
		default:
			macs = append(macs, n.MAC)
		}
	}
	return macs
}

// Key is what tells a disk from every other: its serial, else its WWN.
func (d Disk) Key() string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.WWN
}

func missingDisks(enrolled, found []Disk) []string {
	var missing []string
	for _, d := range enrolled {
		// A BMC may know the WWN alone of a disk whose serial the agent knows as well.
		there := slices.ContainsFunc(found, func(f Disk) bool { return d.Key() == f.Serial || d.Key() == f.WWN })
		if d.Key() != "" && !d.Removable && !there {
			missing = append(missing, d.Key())
		}
	}
	return missing
}

// rootDisk is the smallest disk that is not removable and holds the image.
func rootDisk(disks []Disk, need Bytes) (Disk, error) {
	var best Disk
	var seen []string
	asked := DiskSize(need)
	for _, d := range disks {
		if d.Removable || d.Key() == "" {
			continue
		}
		have, least := TooLittle(DiskSize, d.Size, need)
		if least != DiskSize(need) {
			asked = least // to the byte, as this disk is
		}
		seen = append(seen, fmt.Sprintf("%s has %s", d.Key(), have))
		if d.Size >= need && (best.Size == 0 || d.Size < best.Size) {
			best = d
		}
	}
	if best.Size == 0 {
		return best, &Error{Op: "choose root disk", Kind: Invalid, Err: fmt.Errorf("the image needs %s; %s", asked, strings.Join(seen, ", ")), Hint: "ask for a larger disk, or use a smaller image"}
	}
	return best, nil
}

// image reads the image of the allocation's order.
func (w *work) image(ctx context.Context) (i Image, err error) {
	order, err := w.order(ctx)
	if err != nil {
		return i, err
	}
	return w.e.findImage(ctx, order.Image)
}

func (w *work) order(ctx context.Context) (DeployOrder, error) {
	var order DeployOrder
	err := w.e.store.View(ctx, func(tx Tx) error {
		a, err := tx.Allocation(w.attempt.Allocation)
		if err != nil {
			return err
		}
		if a.Order == nil {
			return &Error{Op: "deploy", Allocation: a.Name, Kind: Internal, Err: errors.New("the allocation has no order")}
		}
		order = *a.Order
		return nil
	})
	return order, err
}

func writeImage(ctx context.Context, w *work) error {
	image, err := w.image(ctx)
	if err != nil {
		return err
	}
	source, err := w.e.deployer.OpenImage(ctx, image)
	if err != nil {
		return err
	}
	defer source.Close()
	agent, err := w.agent()
	if err != nil {
		return err
	}
	err = agent.Write(ctx, w.command(stepWrite), WriteOrder{Disk: w.attempt.Disk, Manifest: source.Manifest()}, w.moving(ctx, stepWrite))
	if err == nil {
		w.moved = source.Manifest().Size
	}
	return err
}

// command names one command of this attempt to the agent: the same again is a retry.
func (w *work) command(step string) string {
	return fmt.Sprintf("%s/%s/%d", w.attempt.ID, strings.ReplaceAll(step, " ", "-"), w.attempt.FailedErases)
}

func writeSeed(ctx context.Context, w *work) error {
	order, err := w.order(ctx)
	if err != nil {
		return err
	}
	image, err := w.image(ctx)
	if err != nil {
		return err
	}
	seed := Seed{InstanceID: string(w.attempt.ID), Hostname: order.Hostname, User: order.SSHUser, Keys: order.Keys, MACs: w.attempt.MACs, Network: w.node.Spec.Network}
	if seed.User == "" {
		seed.User = image.User
	}
	if login := w.attempt.Login; login != nil {
		seed.Keys = append(slices.Clone(seed.Keys), login.Public)
	}
	fragments, err := w.fragments()
	if err != nil {
		return err
	}
	if seed.UserData, err = w.userData(order, fragments); err != nil {
		return err
	}
	plain, err := w.e.sealer.Open(w.attempt.HostKeys)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, &seed.HostKeys); err != nil {
		return err
	}
	filesystem, err := w.e.deployer.RenderSeed(seed)
	if err != nil {
		return err
	}
	agent, err := w.agent()
	if err != nil {
		return err
	}
	return agent.Seed(ctx, w.command(stepSeed), SeedOrder{Disk: w.attempt.Disk, Filesystem: filesystem})
}

// park leaves the server off, with no media and no boot override.
func park(ctx context.Context, w *work) error {
	if err := powerOff(ctx, w); err != nil {
		return err
	}
	return ejectMedia(ctx, w)
}
