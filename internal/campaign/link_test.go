package campaign

import (
	"io"
	"net"
	"testing"
)

// echo answers what it is told.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// heard asks, and reports whether the answer came.
func heard(c net.Conn) (answer chan bool) {
	answer = make(chan bool, 1)
	go func() {
		_, err := c.Write([]byte("?"))
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		answer <- err == nil
	}()
	return answer
}

func TestLink(t *testing.T) {
	l, err := newLink("127.0.0.1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	dial := func() net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	old := dial()
	beside, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.to)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if !<-heard(old) {
		t.Fatal("it does not pass")
	}
	l.set(stalls)
	waits, later := heard(old), heard(dial())
	for range 20 { // meanwhile others get through
		if !<-heard(beside) {
			t.Fatal("a link of its own does not pass")
		}
	}
	select {
	case <-waits:
		t.Fatal("something passes a link that stalls")
	case <-later:
		t.Fatal("something passes a link that stalls, over a new connection")
	default:
	}
	l.set(passes)
	if !<-waits || !<-later {
		t.Fatal("what was held back is lost")
	}
	l.set(isCut)
	if <-heard(old) || <-heard(dial()) {
		t.Fatal("something passes a link that is cut")
	}
	l.set(passes)
	if !<-heard(dial()) {
		t.Fatal("a link that was mended does not pass")
	}
}
