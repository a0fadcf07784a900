package guest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	loginGrace   = 30 * time.Second
	maxSessions  = 10
	commandKey   = "command" // in Permissions: what a key runs whatever is asked for
	maxAuthTries = 6
)

func (g *Guest) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return
		}
		off, tracked := g.track(c)
		if !tracked {
			_ = c.Close()
			return
		}
		g.work.Go(func() {
			defer g.forget(c)
			defer func() { _ = c.Close() }()
			if off == nil {
				g.serve(c)
				return
			}
			select { // nobody hears it; it is over once somebody might
			case <-off:
			case <-g.ctx.Done():
			}
		})
	}
}

// serve speaks SSH on one connection until it ends.
func (g *Guest) serve(c net.Conn) {
	config := &ssh.ServerConfig{
		PublicKeyCallback: g.admit,
		MaxAuthTries:      maxAuthTries,
		ServerVersion:     "SSH-2.0-metalpool_lab Debian-12",
	}
	for _, key := range g.keys {
		config.AddHostKey(key)
	}
	if c.SetDeadline(time.Now().Add(loginGrace)) != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil || c.SetDeadline(time.Time{}) != nil {
		return
	}
	a, found := g.account(conn.User())
	if !found {
		return
	}
	g.count(func(s *Stats) { s.Logins++ })
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	go ssh.DiscardRequests(requests)
	open := make(chan struct{}, maxSessions)
	for asked := range channels {
		// Nothing but sessions: a forwarded port would lead to the host's network.
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.Prohibited, "the lab's machines forward nothing")
			continue
		}
		select {
		case open <- struct{}{}:
		default:
			_ = asked.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		s := &session{g: g, user: a, channel: channel, forced: conn.Permissions.Extensions[commandKey]}
		g.work.Go(func() {
			s.serve(ctx, requests)
			<-open
		})
	}
}

// admit lets in who shows a key of the user's authorized_keys, as it is now.
func (g *Guest) admit(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if a, found := g.account(meta.User()); found {
		if p := g.authorized(a, key.Marshal()); p != nil {
			return p, nil
		}
	}
	g.count(func(s *Stats) { s.Refused++ })
	return nil, errors.New("permission denied")
}

func (g *Guest) authorized(a account, key []byte) *ssh.Permissions {
	text, err := g.Files().ReadFile(path.Join(a.home, ".ssh", "authorized_keys"))
	if err != nil {
		return nil
	}
	for len(text) > 0 {
		have, _, options, rest, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			return nil // no further key
		}
		text = rest
		if !bytes.Equal(have.Marshal(), key) {
			continue
		}
		if p := permissions(options); p != nil {
			return p
		}
	}
	return nil
}

// permissions reads a key's options. An option that we do not know might restrict
// the key, so it is not let in, as with sshd.
func permissions(options []string) *ssh.Permissions {
	p := &ssh.Permissions{Extensions: map[string]string{}}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		switch strings.ToLower(name) {
		case "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc", "no-pty", "restrict", "pty":
		case commandKey:
			value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
			p.Extensions[commandKey] = strings.ReplaceAll(value, `\"`, `"`)
		default:
			return nil
		}
	}
	return p
}
