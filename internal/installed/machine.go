package installed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/internal/needs"
)

// Machine is off until Start. It is for one goroutine.
type Machine struct {
	t       testing.TB
	disk    string // its path
	device  string
	vars    string // the firmware's variables
	address string // of SSH
	user    ssh.Signer
	host    ssh.PublicKey

	console *console
	monitor *os.File
	off     chan struct{} // closed when QEMU has ended; nil before the first start
}

// From is where a machine starts.
type From string

const (
	// Firmware finds the boot loader on the disk by itself, as after a power cut.
	Firmware From = "firmware"
	// Kernel is the kernel of the disk's boot loader, without firmware or boot loader.
	Kernel From = "kernel"
)

// New copies an image to a disk with a seed. The disk is of that kind of QEMU's
// devices, such as nvme or virtio-blk-pci.
func New(t testing.TB, image, device string) *Machine {
	t.Helper()
	dir := t.TempDir()
	m := &Machine{t: t, device: device, disk: filepath.Join(dir, "disk.raw"), vars: filepath.Join(dir, "vars.fd"), address: freeAddress(t)}
	m.user, m.host = newDisk(t, image, m.disk)
	variables, err := os.ReadFile(needs.QEMU(t).Vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.vars, variables, 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// Start turns the machine on. It ends with the test at the latest, which shows its
// console where it fails.
func (m *Machine) Start(from From) {
	m.t.Helper()
	emulator := needs.QEMU(m.t)
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35", "-smp", "2", "-m", "1024",
		"-serial", "stdio", "-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control",
		"-drive", "id=disk,if=none,format=raw,file=" + m.disk, "-device", m.device + ",drive=disk,serial=ROOT1",
		"-netdev", fmt.Sprintf("user,id=net,hostfwd=tcp:%s-:22", m.address), "-device", "virtio-net-pci,netdev=net,mac=" + mac,
		"-accel", "tcg,thread=multi", "-cpu", "max",
	}
	switch from {
	case Kernel:
		k, err := ReadKernel(m.disk, m.t.TempDir())
		if err != nil {
			m.t.Fatal(err)
		}
		args = append(args, "-kernel", k.Image, "-initrd", k.Initrd, "-append", k.CommandLine)
	default:
		args = append(args, "-drive", "if=pflash,format=raw,readonly=on,file="+emulator.Code, "-drive", "if=pflash,format=raw,file="+m.vars)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "monitor")
	defer func() { _ = theirs.Close() }()
	monitor := os.NewFile(uintptr(pair[0]), "monitor")
	m.monitor = monitor

	cmd := exec.CommandContext(m.t.Context(), emulator.Program, args...)
	console, off := &console{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = console, console, []*os.File{theirs}
	m.console, m.off = console, off
	// A test that is killed, or runs out of its time, cleans nothing up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // whose end sends the signal
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is on the console
		}
		close(off)
	}()
	if err := <-started; err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-off
		_ = monitor.Close()
		if m.t.Failed() {
			m.t.Logf("the console, from %s:\n%s", from, console)
		}
	})
}

// SSH logs in as soon as that is possible, and closes the connection with the test.
// Another host key than the seed's is no answer.
func (m *Machine) SSH(ctx context.Context) *ssh.Client {
	m.t.Helper()
	config := &ssh.ClientConfig{
		User: User, Auth: []ssh.AuthMethod{ssh.PublicKeys(m.user)},
		HostKeyCallback: ssh.FixedHostKey(m.host), HostKeyAlgorithms: []string{m.host.Type()},
	}
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		client, err := dial(ctx, m.address, config)
		if err == nil {
			m.t.Cleanup(func() { _ = client.Close() })
			return client
		}
		select {
		case <-m.off:
			m.t.Fatal("the machine went off before SSH answered")
		case <-ctx.Done():
			m.t.Fatalf("SSH did not answer in time: %v", err)
		case <-again.C:
		}
	}
}

// dial gives a server that takes the connection half a minute to be one: QEMU takes
// it as soon as it runs.
func dial(ctx context.Context, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// PressPower presses the power button.
func (m *Machine) PressPower() {
	m.t.Helper()
	go func() { _, _ = io.Copy(io.Discard, m.monitor) }() // its answers
	e := json.NewEncoder(m.monitor)
	for _, command := range []string{"qmp_capabilities", "system_powerdown"} {
		if err := e.Encode(map[string]string{"execute": command}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Off is closed when the machine is off.
func (m *Machine) Off() <-chan struct{} { return m.off }

// Run runs a command and returns what it writes. One that fails ends the test.
func Run(t testing.TB, c *ssh.Client, command string, input io.Reader) string {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	session.Stdin = input
	out, err := session.CombinedOutput(command)
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// console keeps what the serial port says. QEMU writes while a test reads.
type console struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ToValidUTF8(c.text.String(), "?")
}

// freeAddress is where nothing listens now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
