//go:build bench && vm

package cost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/internal/installed"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab/cost/inside"
	"github.com/metalpool/metalpool/lab/qemu"
	"github.com/metalpool/metalpool/ramdisk/initramfs"
)

// insider is a virtual machine that runs the real agent and nothing else but the
// program of package inside, and an engine's end of it.
type insider struct {
	t        *testing.T
	deployer *deploy.Deployer
	agent    core.Agent
	own      core.Agent // the same; what it writes it is to find on its own machine
	url      string     // of the program
}

// The disk inside.
const (
	insiderDisk   = "BENCH1"
	insiderDevice = "/dev/vda"
)

// startInsider returns when the agent has checked in.
func startInsider(ctx context.Context, t *testing.T, memory, disk core.Bytes) *insider {
	t.Helper()
	needs.QEMU(t)
	dir := t.TempDir()
	d, err := deploy.New(deploy.Config{CacheDir: filepath.Join(dir, "cache"), Bind: "127.0.0.1", Ramdisk: needs.Ramdisk(t), Log: slog.New(slog.DiscardHandler)})
	try(t, err)
	t.Cleanup(func() { try(t, d.Close()) })
	agentAt, programAt := freeAddress(t), freeAddress(t)
	in := &insider{t: t, deployer: d, url: "http://" + programAt.String()}

	boot, secret, err := d.NewBoot(2 * time.Hour)
	try(t, err)
	media, err := d.Offer(ctx, boot, secret, core.BootParams{
		Node: "bench-1", Generation: 1, BMCHost: "127.0.0.1", Silence: time.Hour,
		Agent: core.AgentRoute{Advertise: qemu.HostAddress, Address: agentAt.String()},
	})
	try(t, err)
	area, err := bootmedia.ReadParams(bytes.NewReader(in.do(ctx, http.MethodGet, media, nil)))
	try(t, err)

	kernel := insiderKernel(ctx, t, dir)
	s := insiderSpec(t, dir, disk)
	s.Memory, s.Kernel = int(memory/core.MiB), &kernel
	s.Ports = []qemu.Port{{Model: "virtio-net-pci", MAC: "52:54:00:12:34:56", Network: qemu.Answers, Forwards: []qemu.Forward{
		{Address: "127.0.0.1", From: agentAt.Port, To: agentAt.Port},
		{Address: "127.0.0.1", From: programAt.Port, To: inside.Port},
	}}}
	programs, err := qemu.Find()
	try(t, err)
	console := &console{}
	m, err := qemu.Start(context.WithoutCancel(ctx), s, qemu.Host{Programs: programs, Console: console})
	try(t, err)
	t.Cleanup(func() {
		m.Kill()
		if t.Failed() {
			t.Logf("the console:\n%s", console)
		}
	})
	try(t, m.Run())

	in.await(ctx)
	in.do(ctx, http.MethodPost, in.url+inside.AgentPath, area)
	endpoint, err := d.AwaitCheckIn(ctx, boot.ID)
	try(t, err)
	boot.Agent = &endpoint
	in.agent, err = d.Dial(boot, secret, 1)
	try(t, err)
	near, err := deploy.New(deploy.Config{CacheDir: filepath.Join(dir, "near"), Advertise: "127.0.0.1", Log: slog.New(slog.DiscardHandler)})
	try(t, err)
	in.own, err = near.Dial(boot, secret, 1)
	try(t, err)
	t.Cleanup(func() { try(t, in.agent.Close(), in.own.Close(), near.Close()) })
	return in
}

// insiderKernel is the tiny OS with another program.
func insiderKernel(ctx context.Context, t *testing.T, dir string) qemu.Kernel {
	t.Helper()
	path := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./inside/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kernel, err := installed.ReadKernel(needs.TinyOS(t), dir)
	try(t, err)
	program, err := os.ReadFile(path)
	try(t, err)
	part, err := initramfs.Init(program)
	try(t, err)
	// Of two files with one name the kernel keeps the later.
	initrd, err := os.OpenFile(kernel.Initrd, os.O_WRONLY|os.O_APPEND, 0)
	try(t, err)
	_, err = initrd.Write(part)
	try(t, err, initrd.Close())
	return kernel
}

// insiderSpec is a machine with an empty disk.
func insiderSpec(t *testing.T, dir string, size core.Bytes) qemu.Spec {
	t.Helper()
	programs, err := qemu.Find()
	try(t, err)
	disk, vars := filepath.Join(dir, "disk.img"), filepath.Join(dir, "vars.fd")
	text, err := os.ReadFile(programs.Vars)
	try(t, err)
	try(t, os.WriteFile(vars, text, 0o600), os.WriteFile(disk, nil, 0o600), os.Truncate(disk, int64(size)))
	return qemu.Spec{
		Accel: qemu.TCG, CPUs: 2, UUID: "0a1b2c3d-1111-4222-8333-444455556666", Serial: "BENCH", Manufacturer: "Lab", Product: "Bench", BIOSVersion: "1",
		Code: programs.Code, Vars: vars, CD: qemu.SCSI,
		Disks: []qemu.Disk{{Bus: qemu.VirtIO, Path: disk, Serial: insiderDisk}},
	}
}

// await returns when the program listens. QEMU takes connections before.
func (in *insider) await(ctx context.Context) {
	in.t.Helper()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, in.url, nil)
		try(in.t, err)
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			in.t.Fatalf("the machine does not answer: %v", err)
		}
	}
}

// qemuCPU is the processor time that the one virtual machine of this process has taken
// so far, its emulation and its devices.
func qemuCPU(t *testing.T) time.Duration {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/children")
	try(t, err)
	for _, thread := range threads {
		children, err := os.ReadFile(thread)
		if err != nil {
			continue // the thread has ended
		}
		for _, text := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(text)
			try(t, err)
			if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.HasPrefix(string(name), "qemu-") {
				return processCPU(t, pid)
			}
		}
	}
	t.Fatal("there is no QEMU among this process's children")
	return 0
}

// peak is the most memory that the agent ever took.
func (in *insider) peak(ctx context.Context) core.Bytes {
	in.t.Helper()
	n, err := strconv.ParseInt(string(in.do(ctx, http.MethodGet, in.url+inside.PeakPath, nil)), 10, 64)
	try(in.t, err)
	return core.Bytes(n)
}

// alone measures the parts of a write of that image.
func (in *insider) alone(ctx context.Context, m core.Manifest) (took inside.Took) {
	in.t.Helper()
	o := inside.Order{Sample: sampleOf(m), Disk: insiderDevice, Manifest: m, Source: fmt.Sprintf("http://%s%s/", net.JoinHostPort(qemu.HostAddress, strconv.Itoa(m.Port)), m.Path)}
	text, err := json.Marshal(o)
	try(in.t, err)
	try(in.t, json.Unmarshal(in.do(ctx, http.MethodPost, in.url+inside.AlonePath, text), &took))
	return took
}

// sampleOf is some of its chunks, from all over it.
func sampleOf(m core.Manifest) (numbers []int) {
	const many = 8
	for i := range many {
		numbers = append(numbers, (2*i+1)*len(m.Chunks)/(2*many))
	}
	return numbers
}

// repeated is an image as large, of nothing but the sample, with the program inside
// as its source.
func repeated(m core.Manifest) core.Manifest {
	numbers := sampleOf(m)
	chunks := make([]string, len(m.Chunks))
	for i := range chunks {
		chunks[i] = m.Chunks[numbers[i%len(numbers)]]
	}
	return core.Manifest{Size: m.Size, ChunkSize: m.ChunkSize, Chunks: chunks, Port: inside.Port, Path: strings.TrimSuffix(inside.ChunkPath, "/")}
}

func (in *insider) do(ctx context.Context, method, url string, body []byte) []byte {
	in.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	try(in.t, err)
	answer, err := http.DefaultClient.Do(r)
	try(in.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	try(in.t, err)
	if answer.StatusCode != http.StatusOK {
		in.t.Fatalf("%s %s: %s: %s", method, url, answer.Status, text)
	}
	return text
}

// console keeps what a machine says. QEMU writes while a test reads.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// freeAddress is where nothing listens now.
func freeAddress(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	try(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}
