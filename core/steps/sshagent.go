package steps

import (
	"errors"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// offerKey has an agent of SSH offer a private key at a socket until it is stopped: so it
// is never on a disk, and gone with this process.
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
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(keys, conn) // ends with the connection
			}()
		}
	}()
	return func() { _ = l.Close() }, nil
}
