package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

// session is one SSH session: a command, an interactive shell or SFTP.
type session struct {
	g       *Guest
	user    account
	channel ssh.Channel
	forced  string // the command that the key runs, whatever is asked for
	pty     bool
	env     []string
}

// serve answers the session's requests until the client closes it or its command
// has ended, and returns when nothing of it runs any more.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	started := false
	for {
		select {
		case r, open := <-requests:
			if !open {
				cancel()
				_ = s.channel.Close()
				if started {
					<-done
				}
				return
			}
			run := s.request(r)
			if r.WantReply {
				_ = r.Reply(run != nil || r.Type == "env" || r.Type == "pty-req" || r.Type == "window-change", nil)
			}
			if run == nil || started {
				continue
			}
			started = true
			go func() {
				defer close(done)
				s.finish(run(ctx))
			}()
		case <-done:
			// What the client still asks is answered by the library with a refusal.
			go ssh.DiscardRequests(requests)
			return
		}
	}
}

func (s *session) finish(status int) {
	// A client that is gone needs none of it.
	_ = s.channel.CloseWrite()
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
	_ = s.channel.Close()
}

// request takes one request; what starts the session's work returns it.
func (s *session) request(r *ssh.Request) func(context.Context) int {
	switch r.Type {
	case "env":
		var v struct{ Name, Value string }
		if ssh.Unmarshal(r.Payload, &v) == nil && (v.Name == "LANG" || strings.HasPrefix(v.Name, "LC_")) {
			s.env = append(s.env, v.Name+"="+v.Value)
		}
	case "pty-req":
		s.pty = true
	case "exec":
		var v struct{ Command string }
		if ssh.Unmarshal(r.Payload, &v) != nil {
			return nil
		}
		if s.forced != "" {
			v.Command = s.forced
		}
		return func(ctx context.Context) int { return s.command(ctx, v.Command) }
	case "shell":
		switch {
		case s.forced != "":
			return func(ctx context.Context) int { return s.command(ctx, s.forced) }
		case s.pty:
			return s.interactive
		}
		return s.script
	case "subsystem":
		var v struct{ Name string }
		if ssh.Unmarshal(r.Payload, &v) == nil && v.Name == "sftp" && s.forced == "" {
			return s.sftp
		}
	}
	return nil
}

// process is what the user's shell is started with.
func (s *session) process(in io.Reader, out, err io.Writer) *shell.Process {
	return s.g.login(s.user, s.env, in, out, err)
}

// login is the environment of a user who just logged in.
func (g *Guest) login(a account, env []string, in io.Reader, out, err io.Writer) *shell.Process {
	search := "/usr/local/bin:/usr/bin:/bin:/usr/games"
	if a.uid == 0 {
		search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	dir := a.home
	if info, err := g.view(a).Stat(dir); err != nil || !info.IsDir() {
		dir = "/"
	}
	return &shell.Process{
		Args: []string{"bash"},
		Env:  append([]string{"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=" + a.shell, "PATH=" + search}, env...),
		Dir:  dir, Files: g.view(a), In: in, Out: out, Err: err,
	}
}

// streams are where a command's output goes; on a terminal, both to the same place.
func (s *session) streams() (out, err io.Writer) {
	if s.pty {
		w := crlf{s.channel}
		return w, w
	}
	return s.channel, s.channel.Stderr()
}

// crlf ends lines as a terminal wants them.
type crlf struct{ w io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	if _, err := c.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *session) command(ctx context.Context, line string) int {
	s.g.count(func(st *Stats) { st.Commands++ })
	out, errs := s.streams()
	sh := shell.New(s.g, s.process(s.channel, out, errs))
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	sh.Run(ctx, line)
	return s.end(ctx, hangUp, sh)
}

// lingers is how long background commands may outlive the command that started them.
const lingers = time.Second

// end runs what is left of a shell. Background commands are hung up on, so that
// nobody waits for them.
func (s *session) end(ctx context.Context, hangUp func(), sh *shell.Shell) int {
	sh.Finish(ctx)
	late := time.AfterFunc(lingers, hangUp)
	defer late.Stop()
	sh.Wait()
	return sh.Status()
}

// script runs what the client sends, as a shell without a terminal does.
func (s *session) script(ctx context.Context) int {
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(s.channel, most))
	if err != nil {
		return 1
	}
	return s.command(ctx, string(text))
}

func (s *session) sftp(context.Context) int {
	f := newFiles(s.g.view(s.user))
	server := sftp.NewRequestServer(unclosed{s.channel, s.channel}, sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f}, sftp.WithStartDirectory(s.user.home))
	defer server.Close()
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return 1
	}
	return 0
}

// unclosed stays open when the SFTP server is done, for the exit status.
type unclosed struct {
	io.Reader
	io.Writer
}

func (unclosed) Close() error { return nil }
