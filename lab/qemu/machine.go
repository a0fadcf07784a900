package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// End is how a machine's life ended.
type End string

const (
	Died       End = "died"        // QEMU was killed or failed
	PoweredOff End = "powered off" // by its system
	Restarted  End = "restarted"   // by its system, or by a fault of its processor
)

// Host is what a machine is given by this program.
type Host struct {
	Programs Programs
	Console  io.Writer // told what is written to the serial port
	Lock     *os.File  // stays open for as long as the machine lives
}

// Machine is a server whose power is on. It is safe for concurrent use.
type Machine struct {
	process *process
	ended   chan End // holds how, from when it is known

	mu     sync.Mutex // one change of the drive or the disks at a time
	disc   *disc
	nodes  int      // of QEMU's block layer that were ever added, for their names
	faulty []string // nodes below the disks that let writes fail
	nth    int
	count  int
	disks  int

	faults  atomic.Bool // writes were ever to fail
	looking sync.Mutex
	failed  int // writes, when that was looked at last
}

// Start turns a machine on, with its processors stopped until Run. It lives until ctx
// ends at the latest, and never longer than this program.
func Start(ctx context.Context, s Spec, h Host) (*Machine, error) {
	m := &Machine{ended: make(chan End, 1)}
	shutDown := make(chan struct{})
	files := launchFiles{console: h.Console, lock: h.Lock, events: func(e event) {
		if e.Name != "SHUTDOWN" {
			return
		}
		var why struct {
			Reason string `json:"reason"`
		}
		_ = json.Unmarshal(e.Data, &why) // without a reason it is off
		end := PoweredOff
		if why.Reason == "guest-reset" {
			end = Restarted
		}
		select {
		case m.ended <- end:
			close(shutDown)
		default: // the first one counts
		}
	}}
	p, err := launch(ctx, h.Programs.QEMU, s.arguments(), files)
	if err != nil {
		return nil, err
	}
	m.process, m.disks = p, len(s.Disks)
	go m.quit(shutDown)
	context.AfterFunc(ctx, m.Kill)
	for i, port := range s.Ports {
		if port.Network != NoCable {
			continue
		}
		if err := m.SetLink(i, false); err != nil {
			m.Kill()
			return nil, err
		}
	}
	return m, nil
}

// quitTime is how long QEMU may take to close its files once its system has ended.
const quitTime = 10 * time.Second

// quit ends the process of a system that ended by itself.
func (m *Machine) quit(shutDown <-chan struct{}) {
	select {
	case <-shutDown:
	case <-m.process.over:
		return
	}
	m.lookOnce()
	late := time.AfterFunc(quitTime, m.process.kill)
	defer late.Stop()
	if err := m.process.monitor.run("quit", nil, nil); err != nil && !errors.Is(err, ErrEnded) {
		m.process.kill()
	}
	<-m.process.over
}

// typeTime is how long a system may take to read what is typed.
const typeTime = time.Second

// Type writes to the serial port. A serial line loses what nobody reads.
func (m *Machine) Type(input []byte) {
	if m.process.serial.SetWriteDeadline(time.Now().Add(typeTime)) == nil {
		_, _ = m.process.serial.Write(input)
	}
}

// Run lets the processors go.
func (m *Machine) Run() error { return m.process.monitor.run("cont", nil, nil) }

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.process.over }

// Wait returns how the machine ended, once all of it is gone.
func (m *Machine) Wait() (End, error) {
	<-m.process.over
	m.process.monitor.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disc != nil {
		m.disc.close()
		m.disc = nil
	}
	select {
	case end := <-m.ended:
		m.ended <- end
		return end, nil
	default:
		return Died, m.process.why()
	}
}

// Kill takes the power away and waits until it is gone.
func (m *Machine) Kill() {
	m.lookOnce()
	m.process.end()
	_, _ = m.Wait() // it was killed
}

// PressPower asks the system to shut down, as the button does. It may not listen.
func (m *Machine) PressPower() error { return m.process.monitor.run("system_powerdown", nil, nil) }

// SetLink plugs a port's cable in or pulls it.
func (m *Machine) SetLink(port int, up bool) error {
	return m.process.monitor.run("set_link", map[string]any{"name": cardName(port), "up": up}, nil)
}

// Image is what is on a disc.
type Image interface {
	io.ReaderAt
	Size() int64 // bytes
}

// disc is what is in the drive.
type disc struct {
	node  string
	conn  net.Conn
	image Image
}

// newDisc serves an image to who gets the file, which the caller closes.
func newDisc(node string, image Image) (d *disc, theirs *os.File, err error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	go func() {
		_ = serveNBD(ours, &readAhead{from: image, size: image.Size()}, image.Size()) // the system sees a drive that fails
	}()
	return &disc{node: node, conn: ours, image: image}, theirs, nil
}

// close takes the disc out. A read under way may hang with whoever has the image, and
// is not waited for: the power goes off at once.
func (d *disc) close() { _ = d.conn.Close() } // the client is gone, or is to go

// Load puts an image into the drive, instead of what is in it; nil takes that out. It
// is read when the system reads it.
func (m *Machine) Load(image Image) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disc == nil && image == nil || m.disc != nil && m.disc.image == image {
		return nil
	}
	q := m.process.monitor
	drive := map[string]any{"id": "cd"}
	// By force: a system that has the disc mounted is not asked by a BMC, either.
	if err := q.run("blockdev-open-tray", map[string]any{"id": "cd", "force": true}, nil); err != nil {
		return err
	}
	if m.disc != nil {
		err := q.run("blockdev-remove-medium", drive, nil)
		if err == nil {
			err = q.run("blockdev-del", map[string]any{"node-name": m.disc.node}, nil)
		}
		if err != nil {
			return err
		}
		m.disc.close()
		m.disc = nil
	}
	if image != nil {
		d, err := m.connect(image)
		if err != nil {
			return err
		}
		if err := q.run("blockdev-insert-medium", map[string]any{"id": "cd", "node-name": d.node}, nil); err != nil {
			d.close()
			return err
		}
		m.disc = d
	}
	return q.run("blockdev-close-tray", drive, nil)
}

// connect gives QEMU a block device that is read from the image.
func (m *Machine) connect(image Image) (*disc, error) {
	d, theirs, err := newDisc(m.newNode("disc"), image)
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }() // QEMU has its own
	err = m.process.monitor.pass(d.node, theirs)
	if err == nil {
		err = m.process.monitor.run("blockdev-add", map[string]any{
			"node-name": d.node, "driver": "nbd", "read-only": true, "export": "",
			"server": map[string]any{"type": "fd", "str": d.node},
		}, nil)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// newNode names a node of QEMU's block layer. The caller holds mu.
func (m *Machine) newNode(kind string) string {
	m.nodes++
	return fmt.Sprintf("%s%d", kind, m.nodes)
}
