package campaign

import (
	"net"
	"sync"
)

// link is a connection's way that can be cut: it listens for one side, and passes on to
// the other what it is given.
type link struct {
	listener net.Listener
	to       string
	done     sync.WaitGroup

	mu    sync.Mutex
	is    linkState
	free  chan struct{} // closed when nothing is held back any more
	conns map[net.Conn]bool
}

type linkState int

const (
	passes linkState = iota
	isCut            // connections are closed, and no new one is passed on
	stalls           // nothing passes, and nobody is told
)

// newLink listens at an address of its own on host.
func newLink(host, to string) (*link, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0")) //nolint:noctx // it listens at once, or not at all
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, to: to, free: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(l.free)
	l.done.Go(l.accept)
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		if !l.keep(near) {
			continue
		}
		l.done.Go(func() {
			defer l.drop(near)
			l.wait()
			far, err := net.Dial("tcp", l.to) //nolint:noctx // on loopback
			if err != nil || !l.keep(far) {
				return
			}
			defer l.drop(far)
			l.done.Go(func() { l.copy(far, near) })
			l.copy(near, far)
		})
	}
}

// copy ends with either side, and ends both.
func (l *link) copy(to, from net.Conn) {
	defer l.drop(to)
	defer l.drop(from)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.wait()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait holds back what is on its way while the link stalls.
func (l *link) wait() {
	l.mu.Lock()
	free := l.free
	l.mu.Unlock()
	<-free
}

// keep takes a connection down to be cut; where the link is cut it is closed at once.
func (l *link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is == isCut {
		_ = c.Close()
		return false
	}
	l.conns[c] = true
	return true
}

func (l *link) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	_ = c.Close()
}

// set changes what the link does.
func (l *link) set(to linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is == stalls && to != stalls {
		close(l.free)
	}
	if to == stalls && l.is != stalls {
		l.free = make(chan struct{})
	}
	l.is = to
	if to == isCut {
		for c := range l.conns {
			_ = c.Close()
		}
		clear(l.conns)
	}
}

func (l *link) close() {
	_ = l.listener.Close()
	l.set(isCut)
	l.done.Wait()
}
