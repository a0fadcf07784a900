package deploy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// quiet keeps what programs under test log for where a test fails.
func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil { // what is logged later, no test wants to know
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// newDeployer listens on loopback. refusals gets what it refuses.
func newDeployer(t *testing.T, change ...func(*deploy.Config)) (d *deploy.Deployer, refusals chan string) {
	t.Helper()
	refusals = make(chan string, 100)
	cfg := deploy.Config{
		CacheDir: t.TempDir(), Bind: "127.0.0.1", Log: quiet(t),
		Refused: func(_ string, _ core.NodeID, _, why string) { refusals <- why },
	}
	for _, c := range change {
		c(&cfg)
	}
	d, err := deploy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, refusals
}

// machine is an agent's host with disks of files.
type machine struct {
	disks    []*filedisk.Disk
	off      chan struct{} // closed when it powers itself off
	booted   chan core.BootMode
	bootable func() error // may refuse to boot
	reset    func() ([]string, error)
	runs     func(ctx context.Context, s core.Script, output io.Writer) (int, error)
	offOnce  sync.Once
}

func (m *machine) Inventory(context.Context) (core.Inventory, error) {
	i := core.Inventory{Identity: core.Identity{UUID: "u1", Serial: "c1", MACs: []string{"52:54:00:00:00:01"}}}
	for _, d := range m.disks {
		i.Hardware.Disks = append(i.Hardware.Disks, d.Info())
	}
	return i, nil
}

func (m *machine) Disks(context.Context) ([]agent.Disk, error) {
	var disks []agent.Disk
	for _, d := range m.disks {
		disks = append(disks, d)
	}
	return disks, nil
}

func (m *machine) Boot(_ context.Context, _ agent.Disk, mode core.BootMode) (func() error, error) {
	if m.bootable != nil {
		if err := m.bootable(); err != nil {
			return nil, err
		}
	}
	return func() error { m.booted <- mode; return nil }, nil
}

func (m *machine) Reset(context.Context) ([]string, error) {
	if m.reset == nil {
		return nil, nil
	}
	return m.reset()
}

func (m *machine) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	return m.runs(ctx, s, output)
}

func (m *machine) PowerOff() error {
	m.offOnce.Do(func() { close(m.off) })
	return nil
}

// newMachine has disks S0, S1, … of these sizes.
func newMachine(t *testing.T, faults filedisk.Faults, sizes ...core.Bytes) *machine {
	t.Helper()
	m := &machine{off: make(chan struct{}), booted: make(chan core.BootMode, 1)}
	for i, size := range sizes {
		name := "S" + strconv.Itoa(i)
		d, err := filedisk.Open(filepath.Join(t.TempDir(), name), core.Disk{Serial: name, WWN: "wwn-" + name, Size: size}, faults)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		m.disks = append(m.disks, d)
	}
	return m
}

// started is a boot that was offered, with what its node read from the media.
type started struct {
	boot   core.Boot
	secret core.BootSecret
	media  string
	params wire.Params
}

const silence = time.Minute

func offer(t *testing.T, d *deploy.Deployer, silence time.Duration) started {
	t.Helper()
	b, s, err := d.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	url, err := d.Offer(t.Context(), b, s, core.BootParams{Node: "n1", Generation: 5, BMCHost: "127.0.0.1", Silence: silence})
	if err != nil {
		t.Fatal(err)
	}
	status, media := get(t, url)
	at := bytes.Index(media, []byte(wire.AreaMagic))
	if status != http.StatusOK || at < 0 {
		t.Fatalf("the media of %d bytes has no parameters, status %d", len(media), status)
	}
	p, err := wire.DecodeParams(media[at:])
	if err != nil {
		t.Fatal(err)
	}
	return started{b, s, url, p}
}

func get(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

// run starts an agent; its end arrives on the channel.
func run(t *testing.T, p wire.Params, m *machine, change ...func(*agent.Config)) (ended <-chan error, cut context.CancelFunc) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := agent.Config{Params: p, Host: m, Listener: l, Log: quiet(t)}
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- agent.Run(ctx, cfg)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return result, cancel
}

// checkedIn starts an agent and dials it.
func checkedIn(t *testing.T, d *deploy.Deployer, m *machine) (s started, a core.Agent, ended <-chan error) {
	t.Helper()
	s = offer(t, d, silence)
	ended, _ = run(t, s.params, m)
	endpoint, err := d.AwaitCheckIn(t.Context(), s.boot.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.boot.Agent = &endpoint
	return s, dial(t, d, s, 5), ended
}

func dial(t *testing.T, d *deploy.Deployer, s started, generation uint64) core.Agent {
	t.Helper()
	a, err := d.Dial(s.boot, s.secret, generation)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// image is data served in chunks. Its server may be spoiled.
type image struct {
	data     []byte
	manifest core.Manifest
	server   *httptest.Server

	mu     sync.Mutex
	asked  map[int]int // how often for each chunk
	answer func(w http.ResponseWriter, n, times int) (handled bool)
}

const chunkSize = 64 << 10

// newImage has a partition table, random chunks, and zero chunks in between.
func newImage(t *testing.T, size int) *image {
	t.Helper()
	i := &image{data: partitioned(t, size), asked: map[int]int{}}
	random := rand.NewChaCha8([32]byte{1})
	for off := 2 * chunkSize; off < 3*size/4; off += 3 * chunkSize {
		_, _ = random.Read(i.data[off:min(off+chunkSize, len(i.data))])
	}
	i.manifest = core.Manifest{Size: core.Bytes(size), ChunkSize: chunkSize}
	for off := 0; off < size; off += chunkSize {
		chunk := i.data[off:min(off+chunkSize, size)]
		digest := ""
		if !bytes.Equal(chunk, make([]byte, len(chunk))) {
			digest = wire.Fingerprint(chunk)
		}
		i.manifest.Chunks = append(i.manifest.Chunks, digest)
	}
	i.serve(t)
	return i
}

// serve makes the image reachable, at a new port each time.
func (i *image) serve(t *testing.T) {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/chunks/"))
		if err != nil || n >= len(i.manifest.Chunks) || i.manifest.Chunks[n] == "" {
			http.NotFound(w, r)
			return
		}
		i.mu.Lock()
		i.asked[n]++
		times, answer := i.asked[n], i.answer
		i.mu.Unlock()
		if answer != nil && answer(w, n, times) {
			return
		}
		off := n * chunkSize
		_, _ = w.Write(encoder.EncodeAll(i.data[off:min(off+chunkSize, len(i.data))], nil))
	}))
	t.Cleanup(i.server.Close)
	_, port, err := net.SplitHostPort(i.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	i.manifest.Path = "/chunks"
	if i.manifest.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
}

func (i *image) times(n int) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[n]
}

// firstChunk is one that is not zero and holds no partition table.
func (i *image) firstChunk() int {
	for n := 1; ; n++ {
		if i.manifest.Chunks[n] != "" {
			return n
		}
	}
}

func (i *image) order() core.WriteOrder { return core.WriteOrder{Disk: "S0", Manifest: i.manifest} }

// read returns what is on a disk.
func read(t *testing.T, d *filedisk.Disk, off, n int64) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := d.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return b
}

// fill writes old data all over a disk.
func fill(t *testing.T, d *filedisk.Disk) {
	t.Helper()
	old := bytes.Repeat([]byte("old tenant's data "), 1<<16)
	for off := int64(0); off < int64(d.Info().Size); off += int64(len(old)) {
		if _, err := d.WriteAt(old[:min(int64(len(old)), int64(d.Info().Size)-off)], off); err != nil {
			t.Fatal(err)
		}
	}
}

// wants fails where err is not of that kind, or does not say all of these.
func wants(t *testing.T, err error, kind core.Kind, said ...string) {
	t.Helper()
	if !core.Is(err, kind) {
		t.Fatalf("%v is of kind %q, want %q", err, core.KindOf(err), kind)
	}
	for _, s := range said {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
}

// ends waits for an agent's end.
func ends(t *testing.T, ended <-chan error, want error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			t.Fatalf("the agent ended with %v, want %v", err, want)
		}
	case <-t.Context().Done():
		t.Fatal("the agent does not end")
	}
}

// fat makes a small FAT16 with that label and nothing in it.
func fat(label string, size int) []byte {
	b := make([]byte, size)
	copy(b, []byte{0xeb, 0x3c, 0x90, 'm', 'k', 'f', 's', '.', 'f', 'a', 't'})
	binary.LittleEndian.PutUint16(b[11:], 512)
	b[13], b[14], b[16] = 4, 4, 2
	binary.LittleEndian.PutUint16(b[17:], 512)
	binary.LittleEndian.PutUint16(b[22:], 32)
	b[0x26] = 0x29
	copy(b[0x2b:], fmt.Sprintf("%-11s", label))
	b[510], b[511] = 0x55, 0xaa
	copy(b[len(b)-8:], "the end.")
	return b
}

func itoa(n int) string { return strconv.Itoa(n) }

func portOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}
