package core

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
)

// answer listens on a port of its own and sends the n-th caller the n-th greeting,
// and all later ones the last.
func answer(t *testing.T, greetings ...string) Access {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(greetings[min(n, len(greetings)-1)]))
			_ = conn.Close()
		}
	}()
	return Access{Address: "127.0.0.1", SSHPort: listener.Addr().(*net.TCPAddr).Port}
}

func TestAwaitSSH(t *testing.T) {
	for name, greetings := range map[string][]string{
		"at once":                   {"SSH-2.0-OpenSSH_9.2\r\n"},
		"after a banner":            {"Authorised use only\r\nSSH-2.0-x\r\n"},
		"while sshd is not yet up":  {"", "SSH-2.0-x\r\n"},
		"after something else ends": {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := AwaitSSH(t.Context(), answer(t, greetings...)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAwaitSSHTellsWhatIsNotSSH(t *testing.T) {
	for name, greeting := range map[string]string{
		"another protocol": "220 mail\r\n",
		"an endless line":  strings.Repeat("x", 2000),
		"many lines":       strings.Repeat("x\n", 100),
		"nothing":          "",
	} {
		a := answer(t, greeting)
		err := greetSSH(t.Context(), net.JoinHostPort(a.Address, strconv.Itoa(a.SSHPort)))
		if err == nil || !strings.Contains(err.Error(), "does not greet as SSH does") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAwaitSSHEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := AwaitSSH(ctx, answer(t, "SSH-2.0-x\r\n"))
	if !Is(err, Timeout) || !strings.Contains(err.Error(), "wait for SSH at 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
}
