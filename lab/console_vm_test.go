//go:build vm

package lab

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
)

// TestVMConsole types to what runs on the machine, through the SSH of the BMC, and reads
// the answer as the pool reads consoles.
func TestVMConsole(t *testing.T) {
	r := vmUp(t, t.TempDir(), VM{})
	e := r.lab.Rack().Nodes[0].BMC
	endpoint := core.Endpoint{URL: e.URL, User: e.User, TLS: core.TLSCheck{Fingerprint: e.Fingerprint}, ConsoleKey: e.ConsoleKey}
	r.boots("types on", answers)
	console, err := redfish.New(redfish.Options{}).Console(t.Context(), endpoint, e.Password) // though r.bmc has the BMC's turn
	r.try(err)
	giveUp := time.AfterFunc(time.Minute, func() { _ = console.Close() })
	defer func() {
		giveUp.Stop()
		_ = console.Close()
	}()

	operator, err := ssh.Dial("tcp", net.JoinHostPort(r.node.Address(), strconv.Itoa(defaultConsolePort)), &ssh.ClientConfig{
		User: e.User, Auth: []ssh.AuthMethod{ssh.Password(e.Password)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != e.ConsoleKey {
				t.Errorf("the host key is %s, and the rack's file says %s", got, e.ConsoleKey)
			}
			return nil
		},
	})
	r.try(err)
	defer operator.Close()
	session, err := operator.NewSession()
	r.try(err)
	keys, err := session.StdinPipe()
	r.try(err)
	r.try(session.Shell())
	_, err = io.WriteString(keys, "HAL")
	r.try(err)

	var filter core.ConsoleFilter
	var seen []byte
	for buffer := make([]byte, 4096); !strings.Contains(string(seen), "IBM"); {
		n, err := console.Read(buffer)
		if err != nil {
			t.Fatalf("the console ended: %v; it showed %q", err, seen)
		}
		seen = filter.Clean(seen, buffer[:n])
	}
}
