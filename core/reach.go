package core

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	sshAttempt = 5 * time.Second // for one connection
	sshPause   = time.Second     // between two
)

// AwaitSSH returns once an SSH server answers at a. It is for a machine that was
// turned on again; who it is was settled when it was deployed. A Timeout error
// tells what the last attempt met. Where SSH was never seen, it is not waited for now.
func AwaitSSH(ctx context.Context, a Access) error {
	if a.Unseen {
		return nil
	}
	port := a.SSHPort
	if port == 0 {
		port = 22
	}
	address := net.JoinHostPort(a.Address, strconv.Itoa(port))
	for {
		err := greetSSH(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &Error{Op: "wait for SSH at " + address, Kind: Timeout, Err: err, Hint: "look at the server's console; its OS may not have started"}
		case <-time.After(sshPause):
		}
	}
}

func greetSSH(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, sshAttempt)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// RFC 4253 lets a server say other lines first; bounded, since anything at all
	// may be listening there.
	lines := bufio.NewReaderSize(conn, 512)
	for range 20 {
		line, err := lines.ReadSlice('\n')
		if strings.HasPrefix(string(line), "SSH-") {
			return nil
		}
		if err != nil {
			return fmt.Errorf("what listens there does not greet as SSH does: %w", err)
		}
	}
	return errors.New("what listens there does not greet as SSH does")
}
