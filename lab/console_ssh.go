package lab

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/lab/bmc"
)

// defaultConsolePort is OpenBMC's, and needs no root.
const defaultConsolePort = 2200

// hostKey is the host key of a BMC's SSH. It is made from the key of its certificate,
// so that a lab keeps it as it keeps that one: clients pin both.
func (c card) hostKey() (ssh.Signer, error) {
	seed := sha256.Sum256([]byte("SSH host key of a BMC\n" + c.Key))
	return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
}

// consoleKey is the fingerprint of that key, where BMCs of these manners have a
// console.
func (c card) consoleKey(m *bmc.Manners) string {
	key, err := c.hostKey()
	if err != nil || m.Console == nil {
		return ""
	}
	return ssh.FingerprintSHA256(key.PublicKey())
}

// serveConsole lets the BMC offer its serial console over SSH, where BMCs of its kind
// do. The rest of a rack pays nothing for it.
func (n *Node) serveConsole(b *bmc.BMC) (*bmc.ConsoleServer, error) {
	if !b.OffersConsole() {
		return nil, nil
	}
	key, err := n.card.hostKey()
	if err != nil {
		return nil, fmt.Errorf("the SSH host key of the BMC of %s: %w", n.card.ID, err)
	}
	port := cmp.Or(n.card.ConsolePort, defaultConsolePort)
	listener, err := listen(n.power.ctx, n.card.Address, port)
	if err != nil {
		return nil, fmt.Errorf("the console of the BMC of %s cannot listen: %w", n.card.ID, err)
	}
	s, err := bmc.ServeConsole(b, listener, key)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

// outlets are what listens while a BMC has power.
type outlets struct {
	redfish *bmc.Server
	console *bmc.ConsoleServer // nil where the BMC offers none
}

func (o *outlets) close() error {
	if o == nil {
		return nil
	}
	err := o.redfish.Close()
	if o.console != nil {
		err = errors.Join(err, o.console.Close())
	}
	return err
}

// Type implements bmc.Typist. A simulated system has nobody who reads its serial port.
func (n *Node) Type(input []byte) {
	if v, real := n.machine.(*vm); real {
		if m := v.current(); m != nil {
			m.Type(input)
		}
	}
}
