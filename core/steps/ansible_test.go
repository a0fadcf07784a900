package steps_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/internal/needs"
)

// play plays a playbook on a machine. Whatever comes of it, nothing of it is left.
func play(ctx context.Context, t *testing.T, on *sshd, s core.Step) (said string, err error) {
	t.Helper()
	needs.Program(t, "ansible-playbook", "ansible-core")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("HOME", t.TempDir())
	s.Name, s.Secrets = "site", map[string]core.Reference{"TOKEN": "env:TOKEN"}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	var output ear
	err = steps.Ansible{}.Run(ctx, core.StepRun{
		ID: "d-1/site/1", Step: s.OrDefaults(), Output: &output,
		Facts:  core.Facts{Node: core.NodeFacts{ID: "n1", MACs: []string{"02:00:00:00:00:01"}}, Machine: core.MachineFacts{Name: "web-1", Labels: map[string]string{"role": `{{ lookup("pipe", "echo run here") }}`}}},
		Secret: func(context.Context, string) (string, error) { return "s3cret {{ 1 + 1 }}", nil },
		WayIn:  func(context.Context) (core.Access, []byte, error) { return on.at, on.key, nil },
	})
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("it leaves %s behind", left)
	}
	return output.String(), err
}

const sitePlaybook = `
- hosts: all
  gather_facts: false
  tasks:
  - copy:
      dest: "{{ folder }}/site.conf"
      content: |
        {{ metalpool.Node.ID }} {{ metalpool.Machine.Labels.role }} {{ metalpool.Node.MACs[0] }}
        {{ TOKEN }}
        {{ ports[1] }} {{ zone }}
  - debug: {msg: "told {{ TOKEN }}"}
`

func TestPlaybook(t *testing.T) {
	m := newSSHD(t)
	vars := core.FreeForm{"folder": m.home, "ports": []any{22, 443}, "zone": "{{.Node.ID}}.{{.Machine.Labels.role}}"}
	said, err := play(t.Context(), t, m, core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: sitePlaybook, Vars: vars}})
	if err != nil || !strings.Contains(said, "changed=1") {
		t.Fatalf("%v: %s", err, said)
	}
	// What users name things is no template of Ansible's, nor is a secret.
	const role = `{{ lookup("pipe", "echo run here") }}`
	want := "n1 " + role + " 02:00:00:00:00:01\ns3cret {{ 1 + 1 }}\n443 n1." + role + "\n"
	if text, err := os.ReadFile(filepath.Join(m.home, "site.conf")); err != nil || string(text) != want {
		t.Errorf("%v: %q", err, text)
	}
}

func TestPlaybookOfAFile(t *testing.T) {
	m, dir := newSSHD(t), t.TempDir()
	for name, text := range map[string]string{
		"site.yml":    "- hosts: web-1\n  gather_facts: false\n  tasks:\n  - copy: {src: motd, dest: '{{ folder }}/motd'}\n",
		"files/motd":  "welcome\n",
		"ansible.cfg": "[ssh_connection]\nssh_args = -o ProxyCommand=false\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	said, err := play(t.Context(), t, m, core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Path: filepath.Join(dir, "site.yml"), Vars: core.FreeForm{"folder": m.home}}})
	if text, missed := os.ReadFile(filepath.Join(m.home, "motd")); err != nil || missed != nil || string(text) != "welcome\n" {
		t.Errorf("%v, %v: %q: %s", err, missed, text, said)
	}
}

func TestPlaybooksThatFail(t *testing.T) {
	const fails = "- hosts: all\n  gather_facts: false\n  tasks: [{raw: exit 3}]\n"
	for name, tt := range map[string]struct {
		playbook string
		spoil    func(m *sshd)
		err, out string
	}{
		"a task":          {fails, nil, "ended with exit status 2: a task failed", "non-zero return code"},
		"another machine": {strings.Replace(fails, "all", "web", 1), nil, "ended with exit status 1", "Could not match supplied host pattern"},
		"another server":  {fails, func(m *sshd) { m.at.HostKeys = newSSHD(t).at.HostKeys }, "ended with exit status 4", "Host key verification failed"},
		"another key":     {fails, func(m *sshd) { m.key = newSSHD(t).key }, "ended with exit status 4", "Permission denied"},
		"nobody":          {fails, func(m *sshd) { m.at.SSHPort = 1 }, "ended with exit status 4: the machine could not be reached", "Connection refused"},
		"no YAML":         {"- hosts: all\n  tasks: [", nil, "ended with exit status 4", "Syntax Error while loading YAML"},
		"no play":         {"- hosts: all\n  taks: []\n", nil, "ended with exit status 4", "'taks' is not a valid attribute for a Play"},
		"no module":       {"- hosts: all\n  tasks: [{nosuchmodule: {x: y}}]\n", nil, "ended with exit status 4", "nosuchmodule"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSSHD(t)
			if tt.spoil != nil {
				tt.spoil(m)
			}
			said, err := play(t.Context(), t, m, core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: tt.playbook}})
			if !core.Is(err, core.Backend) || errors.Is(err, core.ErrUnknownOutcome) || !strings.Contains(err.Error(), tt.err) || !strings.Contains(said, tt.out) {
				t.Errorf("%v; it said %s", err, said)
			}
		})
	}
}

// A playbook that takes too long ends with its time, and all that it has started here, in
// sessions of their own too: Ansible itself begins some.
func TestPlaybookThatHangs(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const hangs = "- hosts: all\n  gather_facts: false\n  tasks: [{delegate_to: localhost, become: false, vars: {ansible_connection: local, ansible_become: false}, shell: 'exec 3>{{ fifo }}; echo here >&3; setsid sleep 1000'}]\n"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan string)
	go func() {
		f, err := os.Open(fifo)
		if err == nil {
			defer f.Close()
			_, err = fmt.Fscanln(f, new(string))
		}
		cancel()
		rest, end := io.ReadAll(f) // until nobody has it open
		ended <- fmt.Sprint(err, string(rest), end)
	}()
	said, err := play(ctx, t, newSSHD(t), core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: hangs, Vars: core.FreeForm{"fifo": fifo}}})
	if !errors.Is(err, core.ErrUnknownOutcome) {
		t.Fatalf("%v: %s", err, said)
	}
	if how := <-ended; how != "<nil><nil>" {
		t.Errorf("the fifo: %s", how)
	}
}

// A machine that goes away in the middle of a task is one that could not be reached: it is
// known that the playbook failed.
func TestPlaybookWhoseMachineGoes(t *testing.T) {
	m := newSSHD(t)
	begun := filepath.Join(m.home, "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = os.ReadFile(begun)
		close(m.gone)
	}()
	restarts := "- hosts: all\n  gather_facts: false\n  tasks: [{raw: 'echo here > " + begun + "; cat'}]\n"
	said, err := play(t.Context(), t, m, core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: restarts}})
	if !core.Is(err, core.Backend) || errors.Is(err, core.ErrUnknownOutcome) || !strings.Contains(err.Error(), "ended with exit status 4: the machine could not be reached") {
		t.Errorf("%v: %s", err, said)
	}
}

// A stand-in takes the place of ansible-playbook.
func standIn(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ansible-playbook"), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// A flood of words is passed on as it comes, and none of it is held.
func TestPlaybookThatFloods(t *testing.T) {
	standIn(t, "head -c 104857600 /dev/zero; echo end >&2\n")
	m, output := newSSHD(t), sink{}
	s := core.Step{Name: "site", Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: sitePlaybook}}
	err := steps.Ansible{}.Run(t.Context(), core.StepRun{
		Step: s.OrDefaults(), Facts: core.Facts{Machine: core.MachineFacts{Name: "web-1"}}, Output: &output,
		WayIn: func(context.Context) (core.Access, []byte, error) { return m.at, m.key, nil },
	})
	if err != nil || output.total != 100<<20+4 || output.most > 1<<20 {
		t.Errorf("%v: it said %d bytes, %d at a time", err, output.total, output.most)
	}
}

// sink counts what is written to it.
type sink struct{ total, most int }

func (s *sink) Write(p []byte) (int, error) {
	s.total, s.most = s.total+len(p), max(s.most, len(p))
	return len(p), nil
}

// One that is killed may have done anything.
func TestPlaybookThatIsKilled(t *testing.T) {
	standIn(t, "kill -9 $$\n")
	for _, repeatable := range []bool{false, true} {
		_, err := play(t.Context(), t, newSSHD(t), core.Step{Repeatable: repeatable, Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: sitePlaybook}})
		if errors.Is(err, core.ErrUnknownOutcome) == repeatable || repeatable && !core.Is(err, core.Backend) {
			t.Errorf("repeatable %t: %v", repeatable, err)
		}
	}
}

// A machine does not take the place of the host that plays.
func TestPlaybookForLocalhost(t *testing.T) {
	r := core.StepRun{Step: core.Step{Ansible: &core.AnsibleStep{Playbook: sitePlaybook}}.OrDefaults(), Facts: core.Facts{Machine: core.MachineFacts{Name: "localhost"}}}
	if err := (steps.Ansible{}).Run(t.Context(), r); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "give it another name") {
		t.Errorf("got %v", err)
	}
}

// What goes on after a playbook that went well does not make it one that failed.
func TestPlaybookThatLeavesSomething(t *testing.T) {
	standIn(t, "sleep 1000 &\n")
	if said, err := play(t.Context(), t, newSSHD(t), core.Step{Ansible: &core.AnsibleStep{As: core.AsLogin, Playbook: sitePlaybook}}); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}

func TestPlaybookThatMayHaveBeenPlayed(t *testing.T) {
	r := core.StepRun{Begun: true, Step: core.Step{Ansible: &core.AnsibleStep{Playbook: sitePlaybook}}.OrDefaults()}
	if err := (steps.Ansible{}).Run(t.Context(), r); !errors.Is(err, core.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	r.Step.Repeatable = true
	if err := (steps.Ansible{}).Run(t.Context(), r); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "apt-get install ansible-core") {
		t.Errorf("got %v", err)
	}
}
