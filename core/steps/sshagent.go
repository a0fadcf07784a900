package steps

import (
	"errors"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// offerKey has an agent of SSH offer a private key at a socket until it is stopped: so it
// is never on a disk, and gone with this process. Whoever is connected then is cut off.
func offerKey(socket string, pem []byte) (stop func(), err error) {
	key, err := ssh.ParseRawPrivateKey(pem)
	if err != nil {
		return nil, errors.New("the management key cannot be read") // the error could tell of it
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", socket) //nolint:noctx // it is stopped
	if err != nil {
		return nil, err
	}
	var (
		mu      sync.Mutex
		stopped bool
		open    []net.Conn
		served  sync.WaitGroup
	)
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn) // a playbook makes few
			if stopped {
				_ = conn.Close()
			}
			mu.Unlock()
			served.Go(func() {
				defer conn.Close()
				_ = agent.ServeAgent(keys, conn) // ends with the connection
			})
		}
	})
	return func() {
		_ = l.Close()
		mu.Lock()
		stopped = true
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		served.Wait()
	}, nil
}
