//go:build vm

package ramdisk_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// A node whose enrolment says so has two ports as one, talks in a VLAN, and asks DHCP
// for nothing.
func TestVMRamdiskBondAndVLAN(t *testing.T) {
	const vlan = 5
	ports := []string{"52:54:00:12:34:01", "52:54:00:12:34:02"}
	cable := newSwitch(t, vlan)
	r := newRig(t, &core.Network{
		Ports: ports, VLAN: vlan, MTU: 1400,
		Address: netip.MustParsePrefix("10.0.2.77/24"), Gateway: netip.MustParseAddr("10.0.2.2"),
	})
	vm := startVM(t, append(cdOnSCSI(r.iso),
		// What lies behind the switch is QEMU's own network, and knows of no VLAN.
		"-netdev", "user,id=world,hostfwd=tcp:"+r.agentAt+"-10.0.2.77:"+r.agentPort,
		"-netdev", "hubport,hubid=1,id=h1,netdev=world",
		"-netdev", "socket,id=uplink,connect="+cable.uplink, "-netdev", "hubport,hubid=1,id=h2,netdev=uplink",
		"-netdev", "socket,id=one,connect="+cable.access, "-device", "virtio-net-pci,netdev=one,mac="+ports[0],
		"-netdev", "socket,id=two,connect="+cable.access, "-device", "e1000e,netdev=two,mac="+ports[1],
	))
	inventory, log := r.meet(t, vm)
	if got := strings.Join(inventory.Identity.MACs, " "); got != strings.Join(ports, " ") {
		t.Errorf("it says that it has the ports %s", got)
	}
	if !strings.Contains(log, "network is set port=bond0.5 address=10.0.2.77/24") {
		t.Errorf("its log does not say that it has set its network:\n%s", log)
	}
}

// vlanSwitch joins the cables of one machine, in which frames bear a tag, with a
// network in which they bear none. Frames without the tag get lost.
type vlanSwitch struct {
	access, uplink string // where QEMU connects: several times, once
	id             uint16

	mu      sync.Mutex
	cables  []net.Conn
	network net.Conn
}

func newSwitch(t *testing.T, id uint16) *vlanSwitch {
	s := &vlanSwitch{id: id}
	s.access = s.serve(t, func(c net.Conn) { s.cables = append(s.cables, c) }, s.untag, func() []net.Conn { return []net.Conn{s.network} })
	s.uplink = s.serve(t, func(c net.Conn) { s.network = c }, s.tag, func() []net.Conn { return s.cables })
	return s
}

// serve forwards each frame of each connection, changed, to the others.
func (s *vlanSwitch) serve(t *testing.T, joined func(net.Conn), change func(frame []byte) []byte, to func() []net.Conn) string {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			joined(c)
			s.mu.Unlock()
			go func() {
				defer func() { _ = c.Close() }()
				for {
					frame, err := readFrame(c)
					if err != nil {
						return
					}
					if frame = change(frame); frame != nil {
						s.send(frame, to)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// QEMU's sockets carry frames, each behind its length.
func readFrame(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}

func (s *vlanSwitch) send(frame []byte, to func() []net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range to() {
		if c != nil {
			_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)) // a cable that was pulled
		}
	}
}

const (
	addresses = 12     // bytes of a frame before its type, or its tag
	tagged    = 0x8100 // the type of what bears a tag
)

func (s *vlanSwitch) tag(frame []byte) []byte {
	if len(frame) < addresses {
		return nil
	}
	out := append([]byte(nil), frame[:addresses]...)
	out = binary.BigEndian.AppendUint16(out, tagged)
	return append(binary.BigEndian.AppendUint16(out, s.id), frame[addresses:]...)
}

func (s *vlanSwitch) untag(frame []byte) []byte {
	if len(frame) < addresses+4 || binary.BigEndian.Uint16(frame[addresses:]) != tagged ||
		binary.BigEndian.Uint16(frame[addresses+2:])&0xfff != s.id {
		return nil
	}
	return append(append([]byte(nil), frame[:addresses]...), frame[addresses+4:]...)
}
