package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/core"
)

// timeout is how long a program may take. It is less than a call to a BMC may.
const timeout = 10 * time.Second

// program runs one, without a shell: nothing in a reference is expanded. What it starts
// itself ends with it.
func program(ctx context.Context, words []string) (string, error) {
	return run(ctx, words, timeout)
}

// workFolder is where programs are run.
const workFolder = "/"

// executable says why there is no such program, as running it would.
func executable(words []string) error {
	if len(words) == 0 {
		return &core.Error{Kind: core.Invalid, Err: errors.New("it names no program")}
	}
	path := words[0]
	if strings.Contains(path, "/") && !filepath.IsAbs(path) {
		path = filepath.Join(workFolder, path)
	}
	if _, err := exec.LookPath(path); err != nil {
		return &core.Error{Kind: core.Denied, Err: err, Hint: "put the program there, on every host that works on the pool"}
	}
	return nil
}

func run(ctx context.Context, words []string, limit time.Duration) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, words[0], words[1:]...) //nolint:gosec // the operator named it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Dir = workFolder
	out, complaint := &head{most: maxPassword + 1}, &head{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, complaint
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case bounded.Err() != nil:
		err = &core.Error{Kind: core.Timeout, Err: fmt.Errorf("%s did not answer within %s", words[0], limit), Hint: "run it by hand; it is asked each time a BMC is, so it has to be quick, and to ask nobody"}
	case err != nil:
		why := err
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			why = fmt.Errorf("%s ended with %s", words[0], exit.ProcessState)
			if said := presentable(complaint.String(), out.String(), os.Environ()); said != "" {
				why = fmt.Errorf("%w: %s", why, said)
			}
		}
		err = &core.Error{Kind: core.Denied, Err: why, Hint: "run it by hand as the user and on the host that works on the pool"}
	}
	return out.String(), err
}

// head keeps the first bytes of what is written, and takes all of it.
type head struct {
	bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, h.most-h.Len()))])
	return len(p), nil
}

// maxComplaint is how much of what a program complains an error tells, in bytes.
const maxComplaint = 200

var (
	secretName = regexp.MustCompile(`(?i)passw|secret|token|key|credential|auth`)
	// assigned is a value that a program gives the name of.
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:passw|secret|token|key|credential|auth)[\w.-]*["']?\s*[=:]\s*)\S+`)
)

// presentable is the last line of what a program complained of, without what may be a
// secret: what it answered, what the environment holds under such a name, and what it
// says under such a name itself.
func presentable(complaint, answer string, environment []string) string {
	secrets := strings.Fields(answer)
	for _, setting := range environment {
		if name, value, _ := strings.Cut(setting, "="); secretName.MatchString(name) {
			secrets = append(secrets, value)
		}
	}
	// In lines, the last one that is not empty.
	last := ""
	for line := range strings.Lines(complaint) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	for _, secret := range secrets {
		if len(secret) > 2 { // else it would be all over the text, and tell nothing
			last = strings.ReplaceAll(last, secret, "…")
		}
	}
	last = assigned.ReplaceAllString(last, "$1…")
	last = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, last)
	if len(last) > maxComplaint {
		last = strings.ToValidUTF8(last[:maxComplaint], "") + "…"
	}
	return last
}
