package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// scripts is where the machine keeps what is run there, in the login user's home.
const scripts = ".metalpool/steps/"

// What a folder of a script has besides its own files. "begun" is a folder, which one
// worker alone can make; "status" is there once the script has ended.
const (
	beginFile = `. ./environment
rm -f environment
exec %s
`
	// beginScript is run in the script's folder. The status goes to a file before it is
	// told: whoever was cut off reads it there.
	beginScript = `cd %[1]s && mkdir begun 2>/dev/null || exit 125
echo $$ > pid
%[2]stimeout -k 10 %[3]d sh ./begin </dev/null
s=$?
echo $s > status.new && mv -f status.new status
exit $s`
	// stateOf tells what there is of a run.
	stateOf = `cd %s 2>/dev/null || { echo none; exit; }
if test -f status; then cat status; elif ! test -d begun; then echo none
elif test -f pid && kill -0 $(cat pid) 2>/dev/null; then echo runs; else echo unknown; fi`
	statusNotOurs = 125
)

// pollEvery is how often a script is looked after that somebody else has begun.
const pollEvery = 2 * time.Second

// Run implements core.Login. What it keeps under the ID is on the machine's disk: it is
// there after a restart, and gone with the OS.
func (l *login) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	folder := scripts + strings.ReplaceAll(s.ID, "/", "-")
	if s.ID == "" {
		folder = scripts + core.NewID("check")
		defer func() {
			clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
			defer cancel()
			_, _ = l.run(clear, "rm -rf "+folder, "") // it has no secrets any more
		}()
		return l.begin(ctx, folder, s, output)
	}
	for {
		state, err := l.run(ctx, fmt.Sprintf(stateOf, folder), "")
		if err != nil {
			return 0, err
		}
		switch state = strings.TrimSpace(state); state {
		case "none":
			status, err := l.begin(ctx, folder, s, output)
			if err != nil || status != statusNotOurs {
				return status, err
			}
		case "runs":
			if err := pause(ctx, pollEvery); err != nil {
				return 0, err
			}
		case "unknown":
			if !s.Again {
				return 0, core.ErrUnknownOutcome
			}
			if _, err := l.run(ctx, "rm -rf "+folder, ""); err != nil {
				return 0, err
			}
		default:
			status, err := strconv.Atoi(state)
			if err != nil {
				return 0, &core.Error{Op: "run script", Kind: core.Backend, Err: fmt.Errorf("%s: the status of the script cannot be read", l.place)}
			}
			fmt.Fprintln(output, "(it ended while nobody listened: what it said is lost)")
			return status, nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// begin puts a script's files on the machine and runs it.
func (l *login) begin(ctx context.Context, folder string, s core.Script, output io.Writer) (int, error) {
	if err := l.send(ctx, folder, s); err != nil {
		return 0, err
	}
	as := ""
	if s.User != core.AsLogin {
		as = `$(test $(id -u) -eq 0 || echo "sudo -n -H") `
	}
	limit := max(1, int(time.Duration(s.Limit).Seconds()))
	return l.stream(ctx, fmt.Sprintf(beginScript, folder, as, limit), output)
}

// send writes a script and all it comes with. Nothing but its folder's name is in any
// argument: that others on the machine see.
func (l *login) send(ctx context.Context, folder string, s core.Script) error {
	program := "sh ./script"
	if strings.HasPrefix(s.Text, "#!") {
		program = "./script"
	}
	var environment strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		fmt.Fprintf(&environment, "export %s=%s\n", name, quoted(s.Env[name]))
	}
	files := maps.Clone(s.Files)
	if files == nil {
		files = map[string]string{}
	}
	files["script"], files["environment"], files["begin"] = s.Text, environment.String(), fmt.Sprintf(beginFile, program)
	if _, err := l.run(ctx, "umask 077; mkdir -p "+folder, ""); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, at := files[name], folder+"/"+quoted(name)
		if _, err := l.run(ctx, fmt.Sprintf("umask 077; cat > %[1]s && test $(wc -c < %[1]s) -eq %[2]d", at, len(text)), text); err != nil {
			return err
		}
	}
	_, err := l.run(ctx, "chmod 700 "+folder+"/script && sync", "")
	return err
}

// quoted is a text as a word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// stream runs a command whose output goes to a writer as it comes. Unlike a session of
// the library it does not wait for what the command has left in the background with its
// output open.
func (l *login) stream(ctx context.Context, command string, output io.Writer) (status int, err error) {
	channel, requests, err := l.client.OpenChannel("session", nil)
	if err != nil {
		return 0, unreachable("run script", l.place, err)
	}
	defer func() { _ = channel.Close() }() // its end is told by its requests
	stop := context.AfterFunc(ctx, func() { _ = l.client.Close() })
	defer stop()
	taken, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err == nil && !taken {
		err = errors.New("it runs no commands")
	}
	if err == nil {
		err = channel.CloseWrite() // there is nothing to be read
	}
	if err != nil {
		return 0, unreachable("run script", l.place, err)
	}
	said, over := make(chan []byte), make(chan struct{})
	defer close(over)
	silent := make(chan struct{}, 2)
	for _, from := range []io.Reader{channel, channel.Stderr()} {
		go func() {
			hear(from, said, over)
			silent <- struct{}{}
		}()
	}
	exit := make(chan uint32, 1)
	go exitStatus(requests, exit)
	ended := false
	var late <-chan time.Time
	for open := 2; open > 0 || exit != nil; {
		select {
		case p := <-said:
			_, _ = output.Write(p)
		case <-silent:
			open--
		case code, told := <-exit:
			status, ended, exit, late = int(code), told, nil, time.After(lastWords)
		case <-late:
			open = 0
		}
	}
	switch {
	case ended:
		return status, nil
	case ctx.Err() != nil:
		return 0, &core.Error{Op: "run script", Kind: core.KindOf(context.Cause(ctx)), Err: fmt.Errorf("%s: %w", l.place, context.Cause(ctx))}
	}
	return 0, unreachable("run script", l.place, errors.New("the connection broke"))
}

// exitStatus tells the status that a command has ended with, or nothing where it does not
// say so.
func exitStatus(requests <-chan *ssh.Request, exit chan<- uint32) {
	told := false
	for r := range requests {
		var status struct{ Code uint32 }
		if r.Type == "exit-status" && !told && ssh.Unmarshal(r.Payload, &status) == nil {
			told = true
			exit <- status.Code
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
	if !told {
		close(exit)
	}
}

// lastWords is how long output is waited for after the script has ended: what it started
// in the background may hold it open for ever.
const lastWords = time.Second

// hear passes on what is said, until it ends or is over.
func hear(from io.Reader, said chan<- []byte, over <-chan struct{}) {
	for {
		buffer := make([]byte, 8<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case said <- buffer[:n]:
			case <-over:
				return
			}
		}
		if err != nil {
			return
		}
	}
}
