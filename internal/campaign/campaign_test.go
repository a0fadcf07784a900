package campaign

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/internal/pgtest"
)

var (
	ops   = flag.Int("ops", 0, "operations, of all settings together (default: some dozens)")
	seed  = flag.Uint64("seed", 1, "what the plans follow from")
	keep  = flag.Bool("keep", false, "keep what it leaves also where nothing was found")
	store = flag.String("store", "", "the `settings` to run, of sqlite, sqlite-served, postgres, postgres-served (default: all, or two of them without -ops)")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// shortOps is how many operations of each setting every run of the tests has.
const shortOps = 60

// TestCampaign runs a short campaign, or the one that `make campaign` asks for.
func TestCampaign(t *testing.T) {
	needs.Program(t, "ssh-keygen", "openssh-client")
	programs := build(t)
	report := NewReport()
	chosen := chooseSettings(t)
	for i, name := range chosen {
		c := Config{Seed: *seed, Ops: shortOps, Rack: Small, Programs: programs, Setting: setting(t, name), Dir: keptIfBroken(t), Say: func(line string) { t.Log(line) }}
		if *ops > 0 {
			c.Ops, c.Rack = (*ops+len(chosen)-1-i)/len(chosen), Large
			c.Say = func(line string) { fmt.Fprintln(os.Stderr, line) }
		}
		r, err := Run(t.Context(), c)
		if r != nil {
			report.Add(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var table strings.Builder
	if err := report.Print(&table); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	for _, v := range report.Violations {
		t.Errorf("%s: %s: %s\nalone again, as far as it follows from the seed: %s", v.Setting, v.Invariant, v.What, again(v))
	}
	if report.Operations() == 0 || report.Faults() == 0 || report.Marked() == 0 {
		t.Errorf("%d operations, %d faults, and %d machines with their own mark on their disks: nothing was looked at", report.Operations(), report.Faults(), report.Marked())
	}
}

// again is the command that runs a burst alone.
func again(v Found) string {
	if *ops == 0 {
		return fmt.Sprintf("go test -count=1 -run '^TestCampaign$' ./internal/campaign -args -seed %d -store %s", v.Seed, v.Setting)
	}
	return fmt.Sprintf("make campaign SEED=%d OPS=%d STORE=%s", v.Seed, v.Ops, v.Setting)
}

var settings = []string{"sqlite", "sqlite-served", "postgres", "postgres-served"}

func chooseSettings(t *testing.T) []string {
	switch {
	case *store == "" && *ops == 0: // both stores, and both ways to them
		return []string{"sqlite", "postgres-served"}
	case *store == "":
		return settings
	}
	chosen := strings.Split(*store, ",")
	for _, name := range chosen {
		if !strings.Contains(" "+strings.Join(settings, " ")+" ", " "+name+" ") {
			t.Fatalf("there is no setting %q, only %s", name, strings.Join(settings, ", "))
		}
	}
	return chosen
}

// setting makes the store, and says how many servers there are.
func setting(t *testing.T, name string) Setting {
	s := Setting{Name: name}
	if strings.HasPrefix(name, "postgres") {
		if *ops > 0 {
			s.Postgres = pgtest.OwnWithClock(t)
		} else {
			s.Postgres = pgtest.Own(t)
		}
		s.Database = s.Postgres.URL(s.Postgres.Database(t))
		s.Servers = 2
	} else {
		s.Servers = 1
	}
	if !strings.HasSuffix(name, "-served") {
		s.Servers = 0
	}
	return s
}

// keptIfBroken is a folder that stays where the test fails, for whoever looks into it.
func keptIfBroken(t *testing.T) string {
	dir, err := os.MkdirTemp("", "campaign-") //nolint:usetesting // it is to outlast a test that fails
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() || *keep {
			t.Logf("what it did and was told is in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// build makes the programs, whose leases are short and whose clock may step. Without the
// race detector: what runs side by side here are processes.
func build(t *testing.T) Programs {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "campaign", "-o", dir, "../../cmd/metalpool", "./caller", "./warden")
	if *ops > 0 {
		cmd.Args = append(cmd.Args, "../../driver-machine")
	}
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := Programs{Metalpool: filepath.Join(dir, "metalpool"), Caller: filepath.Join(dir, "caller"), Warden: filepath.Join(dir, "warden")}
	if *ops > 0 {
		needs.Program(t, "scp", "openssh-client")
		p.DockerMachine = needs.DockerMachine(t)
		if err := os.Rename(filepath.Join(dir, "driver-machine"), filepath.Join(dir, "docker-machine-driver-metalpool")); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
