package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/pgtest"
	"github.com/metalpool/metalpool/lab"
)

// The pace of the campaign's processes: as short as a busy machine keeps up with.
var pace = core.Timing{Lease: 6 * time.Second, Call: 2 * time.Second, Grace: 5 * time.Second, Retry: 200 * time.Millisecond, Queue: 200 * time.Millisecond, Place: 5 * time.Second}

// asleep is how long a frozen process sleeps: when it wakes up, its lease is another's.
var asleep = pace.Lease + 2*pace.Call

// deadlines of the pool, phase by phase: long for simulated nodes, and short enough to be
// waited for.
var deadlines = []string{"power=15s", "check-in=12s", "write=20s", "ssh=15s", "kexec=6s", "erase=20s"}

// Config is what a campaign is run with.
type Config struct {
	Seed     uint64
	Ops      int
	Rack     Rack
	Setting  Setting
	Programs Programs
	Dir      string            // with all that it leaves; empty, on a local disk
	Say      func(line string) // how far it is
}

// Rack is how many there are of what.
type Rack struct{ Nodes, Clients int }

// Racks of the short campaign, which is one burst, and of the long one: what waits there
// for a lease to lapse is to leave the others something to do.
var (
	Small = Rack{Nodes: 8, Clients: 5}
	Large = Rack{Nodes: 24, Clients: 15}
)

// Setting is where the pool is, and how its clients reach it.
type Setting struct {
	Name     string
	Postgres *pgtest.Server // nil: SQLite
	Database string         // URL of an empty store there
	Servers  int            // 0: every process opens the store itself
}

// Programs are files, built with the tag campaign. The driver is beside metalpool.
type Programs struct {
	Metalpool, Caller, Warden string
	DockerMachine             string // the real one; empty: it is left out
}

// World is a rack, a pool, and who is there to use it.
type World struct {
	Config
	shape    Shape
	home     string
	pool     string // URL of the store
	timing   string
	clock    clock
	database database
	warden   *warden
	nest     *nest
	lab      *lab.Lab
	bmcs     []*link // one for each node
	server   []*server
	doors    []*link // to the servers, one for each client and the operator
	admin    door    // the operator's
	owners   []door
	leaks    *leaks
	diary    *diary
}

// slots is how many machines each client has at most.
const slots = 2

// newWorld makes a rack and fills a pool with it. What it has made is ended by close, also
// where it fails.
func newWorld(ctx context.Context, c Config) (w *World, err error) {
	w = &World{Config: c, home: filepath.Join(c.Dir, "home"), clock: clock{filepath.Join(c.Dir, "clock")}, database: database{server: c.Setting.Postgres}}
	timing, err := json.Marshal(pace)
	if err != nil {
		return w, err
	}
	w.timing = string(timing)
	for _, dir := range []string{w.home, w.store(), filepath.Join(c.Dir, "files")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return w, err
		}
	}
	if w.diary, err = newDiary(filepath.Join(c.Dir, "diary.log")); err != nil {
		return w, err
	}
	if err := w.clock.step(0); err != nil {
		return w, err
	}
	if w.nest = newNest(w.store()); w.nest.why != nil && c.Setting.Postgres == nil {
		c.Say(fmt.Sprintf("%s: no disk is going to be full, for there is none that nobody else sees: %v", c.Setting.Name, w.nest.why))
	}
	w.leaks = newLeaks()
	if w.lab, err = lab.Up(ctx, lab.Config{Dir: filepath.Join(c.Dir, "lab"), Nodes: c.Rack.Nodes}); err != nil {
		return w, err
	}
	w.pool = filepath.Join(w.store(), "pool.db")
	if c.Setting.Postgres != nil {
		w.pool = c.Setting.Database
	}
	if w.warden, err = guard(c.Programs.Warden, w.pool); err != nil {
		return w, err
	}
	w.shape = Shape{Nodes: c.Rack.Nodes, Clients: c.Rack.Clients, Slots: slots, Servers: c.Setting.Servers, Faults: w.possible(), Docker: c.Programs.DockerMachine != "" && w.isForUsers()}
	embedded := door{"METALPOOL_URL=" + w.pool, "METALPOOL_OWNER=admin"}
	if err := w.fill(ctx, embedded); err != nil {
		return w, err
	}
	return w, w.openDoors(ctx, embedded)
}

// isForUsers is whether the pool's address may be given to who is no operator: adapters
// take no database's.
func (w *World) isForUsers() bool { return w.Setting.Postgres == nil || w.Setting.Servers > 0 }

// possible lists the faults that there can be here.
func (w *World) possible() []Kind {
	list := []Kind{KillCommand, FreezeCommand, CutBMC, StallBMC, BrokenBMC, BrokenMachine, PowerCut}
	if w.Setting.Servers == 0 {
		list = append(list, KillWorker)
	} else {
		list = append(list, KillServer, FreezeServer, DrainServer, CutLink, StallLink)
	}
	switch {
	case w.Setting.Postgres != nil:
		list = append(list, KillDatabase, StopDatabase)
		if w.Setting.Postgres.HasClock() {
			list = append(list, StepClock)
		}
	default:
		list = append(list, StepClock)
		if w.nest.disk != "" {
			list = append(list, FullDisk)
		}
	}
	return list
}

// fill makes the pool: its image, its policy, and the rack's nodes, which are reached by
// links that can be cut.
func (w *World) fill(ctx context.Context, operator door) error {
	image := filepath.Join(w.Dir, "files", "image.raw")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(lab.WriteImage(f), f.Close()); err != nil {
		return err
	}
	rack := w.lab.Rack()
	for i := range rack.Nodes {
		n := &rack.Nodes[i]
		at, err := url.Parse(n.BMC.URL)
		if err != nil {
			return err
		}
		l, err := newLink(at.Hostname(), at.Host)
		if err != nil {
			return err
		}
		w.bmcs = append(w.bmcs, l)
		at.Host = l.address()
		n.BMC.URL, n.BMC.ConsoleKey = at.String(), ""
		w.leaks.plant("the BMC's password of "+string(n.ID), n.BMC.Password)
	}
	list := filepath.Join(w.Dir, "files", "rack.yaml")
	if err := rack.Write(list); err != nil {
		return err
	}
	set := []string{"pool", "set", "default", "--image", "lab", "--management-key", "always"}
	for _, d := range deadlines {
		set = append(set, "--timeout", d)
	}
	for _, args := range [][]string{
		{"image", "add", "lab", "--source", image, "--user", "debian"},
		set,
		{"node", "enroll", "--from", list, "--erase", "--wait"},
	} {
		if r := w.run(ctx, operator, Hurt{}, nil, w.Programs.Metalpool, args...); !r.ok() {
			return fmt.Errorf("metalpool %s: %s", strings.Join(args, " "), r.err)
		}
	}
	return nil
}

// openDoors lets the clients in: each has a key, and a token where there are servers.
func (w *World) openDoors(ctx context.Context, operator door) error {
	if r := w.run(ctx, nil, Hurt{}, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", w.key()); !r.ok() {
		return fmt.Errorf("ssh-keygen: %s", r.err)
	}
	if w.shape.Docker {
		if err := w.readyDockerMachine(ctx); err != nil {
			return err
		}
	}
	w.admin = operator
	names := []string{}
	for i := range w.shape.Clients {
		names = append(names, owner(i))
		w.owners = append(w.owners, door{"METALPOOL_URL=" + w.pool, "METALPOOL_OWNER=" + owner(i)})
	}
	if w.Setting.Servers == 0 {
		return nil
	}
	for i := range w.Setting.Servers {
		s := &server{number: i, world: w}
		w.server = append(w.server, s)
		if err := s.start(); err != nil {
			return err
		}
	}
	for i, name := range append(names, "admin") {
		role := "user"
		if name == "admin" {
			role = "operator"
		}
		r := w.run(ctx, operator, Hurt{}, nil, w.Programs.Metalpool, "token", "create", name, "--role", role, "-o", "json")
		var made struct{ Secret string }
		if err := json.Unmarshal([]byte(r.out), &made); err != nil || made.Secret == "" {
			return errors.Join(fmt.Errorf("token create %s: %s", name, r.err), err)
		}
		w.leaks.plant("the token of "+name, made.Secret)
		s := w.server[i%len(w.server)]
		l, err := newLink("127.0.0.1", s.address)
		if err != nil {
			return err
		}
		w.doors = append(w.doors, l)
		d := door{"METALPOOL_URL=https://" + l.address(), "METALPOOL_TOKEN=" + made.Secret, "METALPOOL_FINGERPRINT=" + s.fingerprint, "METALPOOL_OWNER=" + name}
		if name == "admin" {
			w.admin = d
		} else {
			w.owners[i] = d
		}
	}
	return nil
}

// store is the folder that a store in a file is in.
func (w *World) store() string { return filepath.Join(w.Dir, "store") }

func (w *World) key() string { return filepath.Join(w.Dir, "files", "id_ed25519") }

func owner(client int) string { return fmt.Sprintf("client%d", client) }

// close ends all that the world has started.
func (w *World) close() error {
	var errs []error
	for _, s := range w.server {
		s.kill()
	}
	if w.warden != nil {
		errs = append(errs, w.warden.close())
	}
	for _, l := range append(w.bmcs, w.doors...) {
		l.close()
	}
	if w.lab != nil {
		errs = append(errs, w.lab.Close())
	}
	if w.nest != nil {
		w.nest.close()
	}
	if w.diary != nil {
		errs = append(errs, w.diary.close())
	}
	return errors.Join(errs...)
}
