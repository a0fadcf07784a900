package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/metalpool/metalpool/core"
)

// firstNode is how far from the block's beginning the nodes' addresses begin; the
// ones below are the lab's own.
const firstNode = 11

// parseNet checks a block of addresses.
func parseNet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("net %q is not a block of addresses such as 127.77.0.0/16", text)
	case p != p.Masked() || !p.Addr().Is4() || !p.Addr().IsLoopback() || p.Bits() < 8:
		return p, fmt.Errorf("net %s is not a block of loopback addresses such as 127.77.0.0/16", text)
	}
	return p, nil
}

// at is the address so far from the block's beginning.
func at(block netip.Prefix, offset int) netip.Addr {
	b := block.Addr().As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += uint32(offset)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// Blocks that labs choose from: 127.64.0.0/16 and those after it.
const (
	firstBlock = 64
	blocks     = 128
)

// blocksFor lists all blocks in the order in which the lab of a folder tries them. It
// begins at another one for each folder: what tells that a block is taken is a lab that
// runs, so labs that all began at the same one would take the addresses of those that
// are down at the moment, and a pool would find strangers' BMCs there.
func blocksFor(dir string) []string {
	if path, err := filepath.Abs(dir); err == nil {
		dir = path
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(dir)) // never fails
	begin := int(sum.Sum32() % blocks)
	list := make([]string, blocks)
	for i := range list {
		list[i] = fmt.Sprintf("127.%d.0.0/16", firstBlock+(begin+i)%blocks)
	}
	return list
}

func listen(ctx context.Context, address string, port int) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
}

// openControl finds the block and listens at its first address, which also tells
// other labs that the block is taken.
func (l *Lab) openControl(ctx context.Context, r *rack) error {
	if r.Net != "" {
		listener, err := l.listenAt(ctx, r.Net)
		if err == nil {
			l.control = newControl(listener, l.config.Dir)
			return nil
		}
		var taken *core.Error
		if errors.As(err, &taken) && taken.Kind == core.Busy && l.config.Net == "" {
			taken.Hint = "another lab may have taken these addresses while this one was down; end it, or move this rack" + l.elsewhere(ctx)
		}
		return err
	}
	var last error
	for _, block := range blocksFor(l.config.Dir) {
		listener, err := l.listenAt(ctx, block)
		if err == nil {
			r.Net = block
			l.control = newControl(listener, l.config.Dir)
			return nil
		}
		last = err
	}
	return last
}

func (l *Lab) listenAt(ctx context.Context, text string) (net.Listener, error) {
	block, err := parseNet(text)
	if err != nil {
		return nil, invalid(err)
	}
	listener, err := listen(ctx, at(block, 1).String(), l.config.ControlPort)
	if err != nil {
		return nil, &core.Error{Op: "start the lab", Kind: core.Busy, Err: fmt.Errorf("the lab's control API cannot listen at %s: %w", text, err), Hint: "another lab may use these addresses; end it, or choose other ones"}
	}
	return listener, nil
}

// elsewhere names a block that is free now, as the flag that moves the rack there.
func (l *Lab) elsewhere(ctx context.Context) string {
	for _, block := range blocksFor(l.config.Dir) {
		if listener, err := l.listenAt(ctx, block); err == nil {
			_ = listener.Close()
			return ": 'metalpool lab up --net " + block + "'"
		}
	}
	return " to a free block with --net"
}

// move gives every node an address in another block. Certificates stay: a pool knows
// them by their fingerprint, whatever address they were made for.
func (r *rack) move(to string) error {
	block, err := parseNet(to)
	if err != nil {
		return invalid(err)
	}
	if err := roomFor(block, len(r.Nodes)); err != nil {
		return err
	}
	r.Net = to
	for i := range r.Nodes {
		r.Nodes[i].Address = at(block, firstNode+i).String()
	}
	return nil
}

// roomFor refuses a block with too few addresses.
func roomFor(block netip.Prefix, nodes int) error {
	if room := 1<<(32-block.Bits()) - firstNode; nodes > room {
		return invalid(fmt.Errorf("net %s has room for %d nodes, not for %d", block, max(room, 0), nodes))
	}
	return nil
}

// MovedFrom is the block of addresses that the rack had before it was started with
// another one; empty where it has not moved.
func (l *Lab) MovedFrom() string { return l.movedFrom }
