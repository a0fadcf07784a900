package steps_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin"
	"github.com/metalpool/metalpool/core/plugin/wire"
	"github.com/metalpool/metalpool/core/steps"
)

// A plugin of these tests is this program, by another name.
func TestMain(m *testing.M) {
	if name, is := strings.CutPrefix(filepath.Base(os.Args[0]), "metalpool-step-"); is {
		behave(name)
		return
	}
	os.Exit(m.Run())
}

// behave is what the plugin of each name does.
func behave(name string) {
	switch {
	case plugins[name] != nil:
		plugin.Serve(plugin.Step[conf]{Run: plugins[name]})
	case checked[name] != nil:
		plugin.Serve(plugin.Step[conf]{Run: plugins["does"], Check: checked[name], Validate: func(c conf) error {
			if c.Zone == "" {
				return errors.New("zone is missing")
			}
			return nil
		}})
	case lies[name] != nil:
		serve(wire.Version, lies[name])
	case name == "of-tomorrow":
		serve(wire.Version+1, lies["says-nothing"])
	case name == "no-plugin":
		fmt.Println("hello\x1b[31m")
	case name == "hangs-at-once":
		began, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), "began"), os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		defer began.Close()
		select {}
	case name == "floods-at-once":
		for {
			_, _ = os.Stdout.Write(make([]byte, 1<<20))
		}
	}
}

type conf struct {
	Zone  string `json:"zone"`
	Port  int    `json:"port"`
	Other []struct{ Name string }
}

type act = func(context.Context, plugin.Try[conf]) error

var plugins = map[string]act{
	"does": func(_ context.Context, t plugin.Try[conf]) error {
		token, err := t.Secret("TOKEN")
		t.Logf("%s of %s: %s %d %s, %s, begun %t, %s", t.ID, t.Phase, t.Config.Zone, t.Config.Port, t.Config.Other, t.Facts.Node.ID, t.Begun, token)
		return err
	},
	"looks-around": func(_ context.Context, t plugin.Try[conf]) error {
		t.Logf("%q %q", os.Args, os.Environ())
		return nil
	},
	"tells-at-a-cut": func(context.Context, plugin.Try[conf]) error {
		return errors.New(strings.Repeat("x", 397) + " s3cret")
	},
	"complains-at-a-cut": func(context.Context, plugin.Try[conf]) error {
		panic(strings.Repeat("x", 397-len("panic: ")) + " s3cret")
	},
	"fails":              func(context.Context, plugin.Try[conf]) error { return errors.New("the name server is busy\x1b[31m") },
	"fails-for-good":     func(context.Context, plugin.Try[conf]) error { return plugin.Permanent(errors.New("no such zone")) },
	"does-not-know":      func(context.Context, plugin.Try[conf]) error { return plugin.Unknown(errors.New("connection reset")) },
	"has-no-such-secret": func(_ context.Context, t plugin.Try[conf]) error { _, err := t.Secret("OTHER"); return err },
	"panics":             func(context.Context, plugin.Try[conf]) error { panic("at the disco") },
	"exits":              func(context.Context, plugin.Try[conf]) error { os.Exit(3); return nil },
	"hangs": func(_ context.Context, t plugin.Try[conf]) error {
		t.Logf("goes to sleep")
		select {}
	},
	"stops": func(context.Context, plugin.Try[conf]) error {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	},
	"floods": func(ctx context.Context, t plugin.Try[conf]) error {
		for ctx.Err() == nil {
			_, _ = t.Output.Write(make([]byte, 1<<20))
		}
		return nil
	},
	"prints": func(ctx context.Context, _ plugin.Try[conf]) error {
		for ctx.Err() == nil {
			_, _ = os.Stderr.Write(make([]byte, 1<<20))
		}
		return nil
	},
	// Its child has its output open, and says in a fifo that it is there.
	"leaves-a-child": func(_ context.Context, t plugin.Try[conf]) error {
		cmd := exec.Command("sh", "-c", "exec 3>$0; echo here >&3; echo >&1; sleep 1000", t.Config.Zone)
		cmd.Stderr = os.Stderr
		wrote, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		_, err = wrote.Read(make([]byte, 1))
		return err
	},
}

var checked = map[string]func(context.Context, plugin.Try[conf]) (bool, error){
	"is-met":      func(context.Context, plugin.Try[conf]) (bool, error) { return true, nil },
	"is-not-met":  func(context.Context, plugin.Try[conf]) (bool, error) { return false, nil },
	"cannot-look": func(context.Context, plugin.Try[conf]) (bool, error) { return true, errors.New("no route") },
}

type send = func(id string, to grpc.ServerStreamingServer[wire.Report]) error

func outcome(id string, r wire.Result) *wire.Report {
	return &wire.Report{Report: &wire.Report_Outcome{Outcome: &wire.Outcome{Id: id, Result: r, Message: "a lie"}}}
}

var lies = map[string]send{
	"says-nothing": func(string, grpc.ServerStreamingServer[wire.Report]) error { return nil },
	"is-of-another-try": func(_ string, to grpc.ServerStreamingServer[wire.Report]) error {
		return to.Send(outcome("d-2/other/1", wire.Result_RESULT_DONE))
	},
	"says-nothing-at-all": func(id string, to grpc.ServerStreamingServer[wire.Report]) error { return to.Send(&wire.Report{}) },
	"is-met-by-running": func(id string, to grpc.ServerStreamingServer[wire.Report]) error {
		return to.Send(outcome(id, wire.Result_RESULT_MET))
	},
	"has-a-new-result": func(id string, to grpc.ServerStreamingServer[wire.Report]) error { return to.Send(outcome(id, 99)) },
	"does-and-fails": func(id string, to grpc.ServerStreamingServer[wire.Report]) error {
		return errors.Join(to.Send(outcome(id, wire.Result_RESULT_DONE)), to.Send(outcome(id, wire.Result_RESULT_PERMANENT)))
	},
	"says-too-much": func(id string, to grpc.ServerStreamingServer[wire.Report]) error {
		return to.Send(&wire.Report{Report: &wire.Report_Output{Output: make([]byte, 8<<20)}})
	},
}

// liar is a plugin that speaks the protocol, and not the truth.
type liar struct {
	wire.UnimplementedStepServer
	send send
}

func (l liar) Run(t *wire.Try, to grpc.ServerStreamingServer[wire.Report]) error {
	return l.send(t.GetId(), to)
}

func serve(version int, s send) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{version: {string(wire.KindStep): wire.Steps{Serves: liar{send: s}}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}

// install puts a plugin in a folder of its own.
func install(t *testing.T, name string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	to, err := os.OpenFile(filepath.Join(folder, "metalpool-step-"+name), os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // it is run
	if err == nil {
		_, err = io.Copy(to, self)
		err = errors.Join(err, to.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// attempt is one try at a step that a plugin does.
type attempt struct {
	plugin string
	config core.FreeForm
	step   core.Step // what else there is to say
	begun  bool
	heard  func() // is called when it says something
	folder string // where the plugin is; "": in one of its own
}

func (a attempt) run(ctx context.Context, t *testing.T) (said, met string, err error) {
	t.Helper()
	s := a.step
	s.Name, s.Plugin, s.Secrets = "dns", &core.PluginStep{Name: a.plugin, Config: a.config}, map[string]core.Reference{"TOKEN": "env:TOKEN"}
	output := ear{heard: a.heard}
	if a.folder == "" {
		a.folder = install(t, a.plugin)
	}
	err = steps.Plugin{Folders: []string{t.TempDir(), a.folder}}.Run(ctx, core.StepRun{
		ID: "d-1/dns/1", Step: s.OrDefaults(), Begun: a.begun, Output: &output, Facts: core.Facts{Node: core.NodeFacts{ID: "n1"}},
		Met:    func(how string) { met = how },
		Secret: func(context.Context, string) (string, error) { return "s3cret", nil },
		Hide:   func(text string) string { return strings.ReplaceAll(text, "s3cret", "(secret)") },
	})
	return output.String(), met, err
}

func TestPluginThatDoesItsStep(t *testing.T) {
	said, met, err := attempt{plugin: "does", config: core.FreeForm{"zone": "{{.Node.ID}}.example", "port": 53, "Other": []any{map[string]any{"Name": "{{.Node.ID}}"}}}}.run(t.Context(), t)
	if want := "d-1/dns/1 of deployed: n1.example 53 [{n1}], n1, begun false, s3cret\n"; err != nil || met != "" || said != want {
		t.Errorf("%v; met %q; it said %q", err, met, said)
	}
}

// A plugin is told in which phase it runs: one may take away at the end what it made.
func TestPhasesOfPlugins(t *testing.T) {
	for _, phase := range []core.StepPhase{core.PhasePrepare, core.PhaseRelease, core.PhaseCleaned} {
		said, _, err := attempt{plugin: "does", step: core.Step{Phase: phase}}.run(t.Context(), t)
		if s := (core.Step{Name: "dns", Phase: phase, Plugin: &core.PluginStep{Name: "does"}}); err != nil || s.Validate() != nil || !strings.HasPrefix(said, "d-1/dns/1 of "+string(phase)+":") {
			t.Errorf("%s: %v, %v; it said %q", phase, err, s.Validate(), said)
		}
	}
}

type ear struct {
	strings.Builder
	heard func()
}

func (e *ear) Write(p []byte) (int, error) {
	if e.heard != nil {
		e.heard()
	}
	return e.Builder.Write(p)
}

// Of a secret that lies where a plugin's words are cut nothing is left of it.
func TestSecretsAtTheEndOfAPluginsWords(t *testing.T) {
	for _, name := range []string{"tells-at-a-cut", "complains-at-a-cut"} {
		_, _, err := attempt{plugin: name}.run(t.Context(), t)
		if err == nil || !strings.Contains(err.Error(), "xxx (s") || strings.Contains(err.Error(), "s3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What others on the host can see of a plugin's process tells no secret, and nothing of
// what metalpool was given.
func TestEnvironmentOfAPlugin(t *testing.T) {
	t.Setenv("TOKEN", "s3cret")
	t.Setenv("METALPOOL_URL", "/somewhere")
	said, _, err := attempt{plugin: "looks-around"}.run(t.Context(), t)
	if err != nil || !strings.Contains(said, "PATH=") || strings.Contains(said, "s3cret") || strings.Contains(said, "METALPOOL_URL") {
		t.Errorf("%v; it sees %q", err, said)
	}
}

func TestHowPluginsEnd(t *testing.T) {
	zone := core.FreeForm{"zone": "example"}
	twice := core.Step{Repeatable: true}
	for name, tt := range map[string]struct {
		attempt
		says    string // "" is well
		kind    core.Kind
		unknown bool
		met     bool
	}{
		"fails":                      {attempt: attempt{plugin: "fails"}, says: "call: backend: the name server is busy [31m", kind: core.Backend},
		"fails for good":             {attempt: attempt{plugin: "fails-for-good"}, says: "no such zone", kind: core.Invalid},
		"does not know":              {attempt: attempt{plugin: "does-not-know"}, says: "connection reset", unknown: true},
		"does not know, harmless":    {attempt: attempt{plugin: "does-not-know", step: twice}, says: "connection reset", kind: core.Backend},
		"other secrets":              {attempt: attempt{plugin: "has-no-such-secret"}, says: "the step declares no secret OTHER", kind: core.Invalid},
		"another config":             {attempt: attempt{plugin: "does", config: core.FreeForm{"zoen": "example"}}, says: `config: json: unknown field "zoen"`, kind: core.Invalid},
		"a template without a label": {attempt: attempt{plugin: "does", config: core.FreeForm{"zone": "{{.Node.Labels.rack}}"}}, says: "config: zone: the template cannot be filled in", kind: core.Invalid},
		"is met":                     {attempt: attempt{plugin: "is-met", begun: true}, met: true},
		"is not met":                 {attempt: attempt{plugin: "is-not-met", begun: true}},
		"cannot look":                {attempt: attempt{plugin: "cannot-look", config: zone, begun: true}, says: "no route", kind: core.Backend},
		"begun":                      {attempt: attempt{plugin: "does", begun: true}, says: "nobody knows", unknown: true},
		"begun, and harmless":        {attempt: attempt{plugin: "does", begun: true, step: twice}},

		"panics":               {attempt: attempt{plugin: "panics"}, says: "it ended with exit status 2: panic: at the disco", unknown: true},
		"panics, and harmless": {attempt: attempt{plugin: "panics", step: twice}, says: "panic: at the disco", kind: core.Backend},
		"exits":                {attempt: attempt{plugin: "exits"}, says: "it ended with exit status 3", unknown: true},
		"no plugin":            {attempt: attempt{plugin: "no-plugin"}, says: `it does not speak the protocol: it begins with "hello [31m"`, kind: core.Invalid},
		"of tomorrow":          {attempt: attempt{plugin: "of-tomorrow"}, says: "it speaks version 2 of the protocol, and this metalpool version 1; install", kind: core.Invalid},
		"ends at once":         {attempt: attempt{plugin: "ends-at-once"}, says: "it ended with exit status 0", kind: core.Backend},
		"floods at once":       {attempt: attempt{plugin: "floods-at-once"}, says: "start plugin floods-at-once", kind: core.Invalid},

		"says nothing":        {attempt: attempt{plugin: "says-nothing"}, says: "it does not say how it has ended", unknown: true},
		"says nothing at all": {attempt: attempt{plugin: "says-nothing-at-all"}, says: "it does not say how it has ended", unknown: true},
		"of another try":      {attempt: attempt{plugin: "is-of-another-try"}, says: `it tells of another try, "d-2/other/1"`, unknown: true},
		"met by running":      {attempt: attempt{plugin: "is-met-by-running"}, says: "RESULT_MET, which is no answer", unknown: true},
		"a new result":        {attempt: attempt{plugin: "has-a-new-result"}, says: "99, which is no answer", unknown: true},
		"does and fails":      {attempt: attempt{plugin: "does-and-fails"}, says: "it goes on after it has said how it ended", unknown: true},
		"says too much":       {attempt: attempt{plugin: "says-too-much"}, says: "larger than max", unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, met, err := tt.run(t.Context(), t)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) || errors.Is(err, core.ErrUnknownOutcome) != tt.unknown {
				t.Errorf("got %v", err)
			}
			if (met != "") != tt.met || tt.kind != "" && !core.Is(err, tt.kind) {
				t.Errorf("met %q, kind %s", met, core.KindOf(err))
			}
		})
	}
}

// A plugin that goes on and on ends with its time, whatever it does.
func TestPluginsThatTakeTooLong(t *testing.T) {
	for _, name := range []string{"hangs", "floods", "prints"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, _, err := attempt{plugin: name, heard: cancel}.run(ctx, t)
			if !errors.Is(err, core.ErrUnknownOutcome) || !strings.Contains(err.Error(), "its time was over") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("stops", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := (attempt{plugin: "stops"}).run(ctx, t); !strings.Contains(fmt.Sprint(err), "its time was over") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("hangs at once", func(t *testing.T) {
		a := attempt{plugin: "hangs-at-once", folder: install(t, "hangs-at-once")}
		fifo := filepath.Join(a.folder, "began")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer cancel()
			if f, err := os.Open(fifo); err == nil { // once it runs
				_ = f.Close()
			}
		}()
		_, _, err := a.run(ctx, t)
		if !core.Is(err, core.Timeout) || !strings.Contains(fmt.Sprint(err), "it has not begun to speak the protocol; a plugin serves at once") || errors.Is(err, core.ErrUnknownOutcome) {
			t.Errorf("got %v", err)
		}
	})
}

// What a plugin has started ends with it, although it has the plugin's output open.
func TestPluginThatLeavesAChild(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		text, err := os.ReadFile(fifo) // up to when nobody has it open any more
		said <- fmt.Sprint(string(text), err)
	}()
	if _, _, err := (attempt{plugin: "leaves-a-child", config: core.FreeForm{"zone": fifo}}).run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	if text := <-said; text != "here\n<nil>" {
		t.Errorf("it said %q", text)
	}
}

// Where a plugin is on the host, a config that it cannot use is refused when it is declared.
func TestConfigsOfPlugins(t *testing.T) {
	zone := core.FreeForm{"zone": "{{.Node.ID}}.example"}
	for name, tt := range map[string]struct {
		plugin string
		config core.FreeForm
		says   string // "" is well
		kind   core.Kind
	}{
		"good":         {"is-met", zone, "", ""},
		"refused":      {"is-met", nil, "zone is missing", core.Invalid},
		"misspelled":   {"is-met", core.FreeForm{"zoen": "example"}, `unknown field "zoen"`, core.Invalid},
		"of a liar":    {"says-nothing", zone, "", ""},
		"of tomorrow":  {"of-tomorrow", zone, "it speaks version 2", core.Invalid},
		"of no plugin": {"no-plugin", zone, "it does not speak the protocol", core.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := core.Step{Name: "dns", Plugin: &core.PluginStep{Name: tt.plugin, Config: tt.config}}.OrDefaults()
			err := steps.Plugin{Folders: []string{install(t, tt.plugin)}}.CheckStep(t.Context(), s)
			if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || !core.Is(err, tt.kind)) {
				t.Errorf("got %v", err)
			}
			if err := (steps.Plugin{Folders: []string{t.TempDir()}}).CheckStep(t.Context(), s); err != nil {
				t.Errorf("where it is not there: %v", err)
			}
		})
	}
}
