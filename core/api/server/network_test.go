package server_test

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// network is one in memory, for bubbles: in one, whoever waits for a real socket keeps
// the time from passing.
type network struct {
	mu        sync.Mutex
	listeners map[string]*ear
}

// ear listens at one address.
type ear struct {
	address plain
	calls   chan net.Conn
	closed  chan struct{} // by its server
	lost    chan struct{} // its host is off the network
	once    sync.Once

	mu    sync.Mutex
	conns []net.Conn
}

// plain is an address.
type plain string

func (plain) Network() string  { return "tcp" }
func (a plain) String() string { return string(a) }

// wire is one end of a connection.
type wire struct {
	net.Conn
	local, remote plain
}

func (w wire) LocalAddr() net.Addr  { return w.local }
func (w wire) RemoteAddr() net.Addr { return w.remote }

// listen listens at an address, whoever did so before.
func (n *network) listen(address string) *ear {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := &ear{address: plain(address), calls: make(chan net.Conn), closed: make(chan struct{}), lost: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*ear{}
	}
	n.listeners[address] = e
	return e
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	e := n.listeners[address]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: plain(address), Err: syscall.ECONNREFUSED}
	if e == nil {
		return nil, refused
	}
	ours, theirs := net.Pipe()
	const client = "127.0.0.1:50000"
	select {
	case e.calls <- wire{theirs, e.address, client}:
	case <-e.closed:
		return nil, refused
	case <-e.lost:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns = append(e.conns, theirs)
	return wire{ours, client, e.address}, nil
}

// cut takes the host off the network for good. The server there is not told.
func (e *ear) cut() {
	close(e.lost)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, conn := range e.conns {
		_ = conn.Close()
	}
}

func (e *ear) Accept() (net.Conn, error) {
	select {
	case conn := <-e.calls:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *ear) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func (e *ear) Addr() net.Addr { return e.address }
