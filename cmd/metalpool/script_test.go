package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/attached"
	"github.com/metalpool/metalpool/internal/pgtest"
	"github.com/metalpool/metalpool/lab/bmc"
)

func TestMain(m *testing.M) {
	// A command under test starts its own program as a worker: that is us.
	if open.RunWorker() {
		return
	}
	testscript.Main(tests{m}, map[string]func(){"metalpool": main})
}

// tests are run, and then PostgreSQL is stopped.
type tests struct{ *testing.M }

func (t tests) Run() int { return pgtest.Main(t.M) }

func TestScripts(t *testing.T) {
	scripts(t, testscript.Params{Dir: filepath.Join("testdata", "scripts")}, func(env *testscript.Env) string {
		pool := filepath.Join(env.WorkDir, "pool.db")
		env.Defer(func() { attached.End(pool) })
		return pool
	})
}

// TestScriptsOnPostgres has an operator do on a pool in a database what rests on the store.
func TestScriptsOnPostgres(t *testing.T) {
	server := pgtest.Shared(t)
	var files []string
	for _, name := range []string{"check", "machine_find", "machine_set", "node_set", "node_verbs", "orphans", "pool", "serve"} {
		files = append(files, filepath.Join("testdata", "scripts", name+".txtar"))
	}
	scripts(t, testscript.Params{Files: files}, func(*testscript.Env) string { return server.Fresh(t) })
}

// scripts runs scripts, each on a pool of its own.
func scripts(t *testing.T, p testscript.Params, pool func(env *testscript.Env) (url string)) {
	t.Helper()
	p.RequireExplicitExec = true
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("METALPOOL_URL", pool(env))
		env.Setenv("METALPOOL_OWNER", "alice@desk")
		env.Setenv("HOME", env.WorkDir)
		return nil
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"exits":   exits,
		"fill":    fillScript,
		"break":   breakPool,
		"lapse":   lapse,
		"serve":   serveBMCs,
		"served":  servePool,
		"disk":    makeDisk,
		"excerpt": excerpt,
	}
	testscript.Run(t, p)
}

// exits runs a command and wants that exit status: exits 2 metalpool node show
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// fillScript makes the filled pool the script's. Into a database it is copied.
func fillScript(ts *testscript.TestScript, _ bool, _ []string) {
	url := ts.Getenv("METALPOOL_URL")
	if !strings.HasPrefix(url, "postgres:") {
		ts.Check(fill(context.Background(), url))
		return
	}
	ctx, file := context.Background(), ts.MkAbs("filled.db")
	ts.Check(fill(ctx, file))
	ts.Setenv("METALPOOL_KEY", seal.FileOf(file))
	from, err := behind(ctx, file, nil)
	ts.Check(err)
	to, err := postgres.Open(ctx, url, postgres.Options{Create: true})
	ts.Check(err)
	_, err = core.Snapshot(ctx, from, to)
	ts.Check(errors.Join(err, from.Close(), to.Close()))
}

// lapse sends a node through a clean whose worker dies before its first deed: lapse NODE
func lapse(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	e, err := open.Engine(ctx, ts.Getenv("METALPOOL_URL"), open.Options{Detach: func() (bool, error) { return true, nil }})
	ts.Check(err)
	_, err = e.Repair(ctx, core.NodeID(args[0]), "")
	ts.Check(errors.Join(err, e.Close()))
}

// breakPool gives a node an owner that does not exist: what no run may ever do.
func breakPool(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, url := context.Background(), ts.Getenv("METALPOOL_URL")
	var (
		store core.Store
		err   error
	)
	if strings.HasPrefix(url, "postgres:") {
		store, err = postgres.Open(ctx, url, postgres.Options{})
	} else {
		store, err = behind(ctx, url, nil)
	}
	ts.Check(err)
	defer store.Close()
	ts.Check(store.Update(ctx, func(tx core.Tx) error {
		n, err := tx.Node("r1-n1")
		if err != nil {
			return err
		}
		n.Allocation = "m-ghost"
		return tx.SwapNode(n)
	}))
}

// makeDisk writes an image of a whole disk: disk FILE
func makeDisk(ts *testscript.TestScript, _ bool, args []string) {
	d, err := diskfs.Create(ts.MkAbs(args[0]), 32<<20, diskfs.SectorSizeDefault)
	ts.Check(err)
	ts.Check(d.Partition(&gpt.Table{Partitions: []*gpt.Partition{{Index: 1, Start: 2048, End: 32767, Type: gpt.LinuxFilesystem, Name: "root"}}}))
	ts.Check(d.Close())
}

// serveBMCs puts servers behind real BMCs on loopback: serve 3. Their addresses are
// $BMC1, $BMC2, …, and their ports $PORT1, …
func serveBMCs(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := 1; i <= n; i++ {
		url := serveBMC(ts, i)
		_, port, err := net.SplitHostPort(url[len("https://"):])
		ts.Check(err)
		ts.Setenv(fmt.Sprintf("BMC%d", i), url)
		ts.Setenv(fmt.Sprintf("PORT%d", i), port)
	}
	ts.Setenv(envPassword, bmcPassword)
}

func serveBMC(ts *testscript.TestScript, i int) string {
	s := &server{facts: bmc.Facts{
		Serial: fmt.Sprintf("SN%04d", i), UUID: fmt.Sprintf("4c4c4544-0042-4810-8051-b7c04f4d%04d", i), Model: "R670", Manufacturer: "Dell Inc.",
		Processors: []bmc.Processor{{Model: "EPYC 9354", Cores: 32, Threads: 64}}, DIMMs: []bmc.DIMM{{MiB: 65536}},
		Drives: []bmc.Drive{{Model: "PM9A3", Serial: fmt.Sprintf("S%d", i), Bytes: 1_920_383_410_176, Protocol: "NVMe"}},
		NICs:   []bmc.NIC{{MAC: fmt.Sprintf("b4:96:91:00:00:%02d", i), Mbps: 25000}},
	}}
	b, err := bmc.New(bmc.Config{Machine: s, User: "root", Password: bmcPassword})
	ts.Check(err)
	certificate, key, err := bmc.NewCertificate("bmc.test", net.IPv4(127, 0, 0, 1))
	ts.Check(err)
	pair, err := tls.X509KeyPair(certificate, key)
	ts.Check(err)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	served := bmc.Serve(b, listener, pair)
	ts.Defer(func() { served.Close() })
	serveConsole(ts, b)
	return served.URL()
}

// serveConsole lets a BMC show what its server printed.
func serveConsole(ts *testscript.TestScript, b *bmc.BMC) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	key, err := ssh.NewSignerFromKey(private)
	ts.Check(err)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	served, err := bmc.ServeConsole(b, listener, key)
	ts.Check(err)
	ts.Defer(func() { served.Close() })
}

// server is hardware that turns on and off, and never boots anything.
type server struct {
	mu    sync.Mutex
	on    bool
	facts bmc.Facts
}

func (s *server) turn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
}

func (s *server) Power() bmc.PowerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on {
		return bmc.On
	}
	return bmc.Off
}
func (s *server) PowerOn()         { s.turn(true) }
func (s *server) PowerOff(bool)    { s.turn(false) }
func (s *server) Restart(bool)     { s.turn(true) }
func (s *server) Facts() bmc.Facts { return s.facts }

// Console implements bmc.Serial: what was printed once, and nothing more.
func (s *server) Console() ([]byte, <-chan []byte, func()) {
	return []byte("\x1b]0;owned\x07\x1b[31mone\x1b[0m\r\ntwo\r\nthree\r\n"), make(chan []byte), func() {}
}
