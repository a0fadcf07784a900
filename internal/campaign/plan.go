package campaign

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// Shape is what a plan is made for.
type Shape struct {
	Nodes   int
	Clients int // each has Slots machines at most; one more process is the operator's
	Slots   int
	Servers int    // 0: every process opens the store itself
	Faults  []Kind // that are possible here
	Docker  bool   // docker-machine is here, too
}

// Verb is what an operation does.
type Verb string

const (
	Create Verb = "create"
	// DockerMachine is a create, and the rm of what came of it.
	DockerMachine Verb = "docker-machine"
	Allocate      Verb = "allocate"
	Redeploy      Verb = "redeploy"
	Release       Verb = "release"
	Abandon       Verb = "abandon" // the release of an ID that nobody knows, and then a create under it
	Power         Verb = "power"
	Log           Verb = "log in" // and read the mark that the deploy wrote
	Label         Verb = "label"
	Keys          Verb = "keys"
	Show          Verb = "show"
	List          Verb = "list"
	Logs          Verb = "logs"
	Nodes         Verb = "node list"
	Events        Verb = "node events"
	Check         Verb = "check"
	Repair        Verb = "repair"
	Maintenance   Verb = "maintenance"
	Resume        Verb = "resume"
	SetNode       Verb = "node set"
	Reconcile     Verb = "reconcile"
)

// Kind is a sort of fault.
type Kind string

const (
	KillCommand   Kind = "kill -9 of a command"
	FreezeCommand Kind = "command frozen longer than a lease"
	KillWorker    Kind = "kill -9 of the detached worker"
	KillServer    Kind = "kill -9 of a server"
	FreezeServer  Kind = "server frozen longer than a lease"
	DrainServer   Kind = "server drained and started again"
	CutLink       Kind = "client cut off from its server"
	StallLink     Kind = "silence between client and server"
	CutBMC        Kind = "connection to a BMC cut"
	StallBMC      Kind = "silence between us and a BMC"
	BrokenBMC     Kind = "BMC fails, hangs or lies"
	BrokenMachine Kind = "machine fails (disk, agent, power, boot)"
	PowerCut      Kind = "power cord pulled"
	StepClock     Kind = "clock steps"
	FullDisk      Kind = "disk of the store full"
	KillDatabase  Kind = "PostgreSQL killed and started again"
	StopDatabase  Kind = "PostgreSQL restarted"
)

// Plan is all that follows from a seed.
type Plan struct {
	Seed   uint64
	Bursts []Burst
}

// Burst is what is done before the faults end and everything is looked at. It begins
// with a pool in which nobody has a machine, so that it can be run alone.
type Burst struct {
	Seed    uint64
	Clients [][]Op // the operator's are the last
	Faults  []Fault
}

// ops is how many operations the burst has.
func (b Burst) ops() (n int) {
	for _, client := range b.Clients {
		n += len(client)
	}
	return n
}

// Op is one process that a client runs, one after the other.
type Op struct {
	Verb Verb
	Slot int    // of the client's machines
	Node int    // of the rack, where an operator begins to look for one to do that to
	Word string // the verb of power; "wait" for a release that waits
	Hurt Hurt
}

// Hurt is what happens to the process.
type Hurt struct {
	Kind  Kind // KillCommand, FreezeCommand, or nothing
	After time.Duration
}

// Fault is planted once so many of the burst's operations have begun.
type Fault struct {
	Kind Kind
	At   int
	For  time.Duration // where it has an end of its own
	Pick int           // of nodes, servers or clients, modulo how many there are
	Lab  lab.NewFault
	Step time.Duration // of the clock
}

// BurstOps is how many operations a burst has.
const BurstOps = 500

// NewPlan makes bursts of together ops operations. The seeds of the bursts count up from
// the plan's.
func NewPlan(seed uint64, ops int, s Shape) Plan {
	p := Plan{Seed: seed}
	for ; ops > 0; ops -= BurstOps {
		p.Bursts = append(p.Bursts, newBurst(seed, min(ops, BurstOps), s))
		seed++
	}
	return p
}

func newBurst(seed uint64, ops int, s Shape) Burst {
	r := rand.New(rand.NewPCG(seed, 0x63616d70))
	b := Burst{Seed: seed, Clients: make([][]Op, s.Clients+1)}
	held := make([][]bool, s.Clients) // what a client had if all went well
	for i := range held {
		held[i] = make([]bool, s.Slots)
	}
	for range ops {
		client := min(r.IntN(s.Clients+2), s.Clients)
		var op Op
		if client == s.Clients {
			op = operatorsOp(r, s)
		} else {
			op = ownersOp(r, s, held[client])
		}
		op.Hurt = hurt(r, op, s)
		b.Clients[client] = append(b.Clients[client], op)
	}
	b.Faults = faults(r, seed, ops, s)
	return b
}

// weighted is a choice that comes up as often as its weight says.
type weighted[T any] struct {
	weight int
	what   T
}

func choose[T any](r *rand.Rand, of []weighted[T]) T {
	sum := 0
	for _, w := range of {
		sum += w.weight
	}
	n := r.IntN(sum)
	for _, w := range of {
		if n -= w.weight; n < 0 {
			return w.what
		}
	}
	panic("weights do not add up")
}

// ownersOp is what a client does next. Where it has no machine it mostly takes one.
func ownersOp(r *rand.Rand, s Shape, held []bool) Op {
	slot := r.IntN(len(held))
	op := Op{Slot: slot}
	if !held[slot] {
		docker := 0
		if s.Docker {
			docker = 1
		}
		op.Verb = choose(r, []weighted[Verb]{{20, Create}, {1, Allocate}, {1, Abandon}, {1, Release}, {3, List}, {2, Show}, {docker, DockerMachine}})
		held[slot] = op.Verb == Create
		return op
	}
	op.Verb = choose(r, []weighted[Verb]{{14, Release}, {4, Redeploy}, {10, Power}, {10, Log}, {8, Label}, {3, Keys}, {8, Show}, {6, List}, {4, Logs}, {3, Create}})
	switch op.Verb {
	case Release:
		held[slot] = false
		if r.IntN(3) == 0 {
			op.Word = "wait"
		}
	case Power:
		op.Word = []string{"", "", "on", "off", "restart", "shutdown"}[r.IntN(6)]
	}
	return op
}

func operatorsOp(r *rand.Rand, s Shape) Op {
	return Op{Node: r.IntN(s.Nodes), Verb: choose(r, []weighted[Verb]{
		{6, Repair}, {3, Maintenance}, {3, Resume}, {3, SetNode}, {4, Nodes}, {3, Events}, {4, Check}, {3, Reconcile},
	})}
}

// hurt decides whether something happens to the process of an operation, and when: those
// that wait for hardware take a second, the others some milliseconds.
func hurt(r *rand.Rand, op Op, s Shape) Hurt {
	lasts := 60 * time.Millisecond
	switch op.Verb {
	case Create, Redeploy, Repair, Reconcile, Abandon:
		lasts = 1500 * time.Millisecond
	case DockerMachine:
		lasts = 4 * time.Second
	case Release:
		lasts = 400 * time.Millisecond
	}
	h := Hurt{After: time.Duration(r.Int64N(int64(lasts)))}
	switch n := r.IntN(100); {
	case n < 7:
		h.Kind = KillCommand
	case n < 9:
		h.Kind = FreezeCommand
	default:
		return Hurt{}
	}
	// docker-machine's plugins leave it when it is silent for ten seconds, and it then
	// waits for them for minutes: nothing of ours shows there.
	if !slices.Contains(s.Faults, h.Kind) || h.Kind == FreezeCommand && op.Verb == DockerMachine {
		return Hurt{}
	}
	return h
}

// often is how often a kind of fault comes up, where it is possible.
var often = []weighted[Kind]{
	{8, BrokenBMC}, {6, BrokenMachine}, {2, PowerCut}, {2, CutBMC}, {2, StallBMC}, {2, KillWorker},
	{4, KillServer}, {2, FreezeServer}, {1, DrainServer}, {2, CutLink}, {2, StallLink},
	{2, StepClock}, {1, FullDisk}, {1, KillDatabase}, {1, StopDatabase},
}

// faultEvery is how many operations there are to a fault of another than themselves.
const faultEvery = 12

func faults(r *rand.Rand, seed uint64, ops int, s Shape) (list []Fault) {
	possible := slices.DeleteFunc(slices.Clone(often), func(w weighted[Kind]) bool { return !slices.Contains(s.Faults, w.what) })
	if len(possible) == 0 {
		return nil
	}
	bmcs := bmc.Plan(seed, ops, 4*time.Second, false)
	for at := range ops {
		if r.IntN(faultEvery) != 0 {
			continue
		}
		f := Fault{Kind: choose(r, possible), At: at, Pick: r.IntN(1 << 16), For: time.Duration(200+r.IntN(2800)) * time.Millisecond}
		switch f.Kind {
		case BrokenBMC:
			f.Lab.BMC = &bmcs[at]
		case BrokenMachine:
			kinds := []lab.FaultKind{lab.PowerStuck, lab.MediaHang, lab.DiskHang, lab.AgentSilent, lab.EraseSilent, lab.AgentTwice, lab.OldToken, lab.OtherMachine, lab.DiskMissing, lab.WriteError, lab.EraseError, lab.EraseLie, lab.HostKey}
			f.Lab.Machine = &lab.Fault{Kind: kinds[r.IntN(len(kinds))], Nth: 1 + r.IntN(2), Count: 1}
		case StepClock:
			f.Step = []time.Duration{-20 * time.Second, -5 * time.Second, 3 * time.Second, time.Minute, time.Hour}[r.IntN(5)]
		}
		list = append(list, f)
	}
	return list
}
