package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/guard"
)

// Ansible has ansible-playbook play playbooks on this host, for the one machine.
type Ansible struct{}

const (
	playbookProgram = "ansible-playbook"
	hintAnsible     = "install Ansible on every host that works on the pool; on Debian: apt-get install ansible-core"
)

// Run implements core.StepRunner. What a playbook has come to that was cut off nobody
// knows.
func (Ansible) Run(ctx context.Context, r core.StepRun) error {
	if r.Begun && !r.Step.Repeatable {
		return core.ErrUnknownOutcome
	}
	if name := r.Facts.Machine.Name; name == "localhost" {
		// What a playbook delegates to this host would be done there, secrets and all.
		return &core.Error{Op: "run playbook", Kind: core.Invalid, Err: fmt.Errorf("the machine is called %s, as Ansible calls the host that it runs on", name), Hint: "give it another name"}
	}
	program, err := exec.LookPath(playbookProgram)
	if err != nil {
		return &core.Error{Op: "run playbook", Kind: core.Invalid, Err: fmt.Errorf("there is no %s on this host", playbookProgram), Hint: hintAnsible}
	}
	vars, err := variables(ctx, r)
	if err != nil {
		return err
	}
	at, key, err := r.WayIn(ctx)
	if err != nil {
		return err
	}
	group, err := guard.New("")
	if err != nil {
		return failed(core.Internal, "%w", err)
	}
	defer group.End()
	defer context.AfterFunc(ctx, group.End)()
	stop, err := offerKey(filepath.Join(group.Dir, agentSocket), key)
	if err != nil {
		return failed(core.Internal, "%w", err)
	}
	defer stop()
	playbook, err := prepare(group.Dir, *r.Step.Ansible, r.Facts.Machine.Name, at)
	if err != nil {
		return failed(core.Internal, "%w", err)
	}
	cmd := &exec.Cmd{
		Path: program, Args: []string{program, "-i", filepath.Join(group.Dir, inventoryFile), "-e", "@" + filepath.Join(group.Dir, varsPipe), playbook},
		Dir: filepath.Dir(playbook), Env: ansibleEnvironment(group.Dir),
		Stdout: r.Output, Stderr: r.Output, // one writer: they come in order
		WaitDelay: time.Second, // for what has our output open, and could not be killed
	}
	telling, told := context.WithCancel(ctx)
	defer told()
	if err := tell(telling, filepath.Join(group.Dir, varsPipe), vars); err != nil {
		return failed(core.Internal, "%w", err)
	}
	if err := group.Start(cmd); err != nil {
		return failed(core.Backend, "%s: %w", playbookProgram, err)
	}
	return played(cmd.Wait(), r.Step.Repeatable)
}

// played is how a playbook has ended.
func played(err error, repeatable bool) error {
	exit, is := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it went well, and left something of another user running
		return nil
	case !is:
		return failed(core.Backend, "%w", err)
	case !exit.Exited() && !repeatable:
		return fmt.Errorf("%s was killed: %w", playbookProgram, core.ErrUnknownOutcome)
	}
	// Ansible's own statuses.
	why := map[int]string{2: ": a task failed", 4: ": the machine could not be reached, or the playbook cannot be read"}[exit.ExitCode()]
	return failed(core.Backend, "%s ended with %s%s", playbookProgram, exit.ProcessState, why)
}

// CheckHost implements core.HostChecker.
func (Ansible) CheckHost(s core.Step) (path []string, missing error) {
	if _, err := exec.LookPath(playbookProgram); err != nil {
		return []string{"ansible"}, &core.Error{Op: "find Ansible", Kind: core.NotFound, Err: fmt.Errorf("there is no %s on its PATH, which is %s", playbookProgram, os.Getenv("PATH")), Hint: hintAnsible}
	}
	if s.Ansible.Path == "" {
		return nil, nil
	}
	if _, err := os.Stat(s.Ansible.Path); err != nil {
		return []string{"ansible", "path"}, &core.Error{Op: "find playbook", Kind: core.NotFound, Err: err, Hint: "put the playbook there, on every host that works on the pool"}
	}
	return nil, nil
}

// ansibleEnvironment is what ansible-playbook is given: settings that no ansible.cfg
// changes, and nothing of what metalpool was.
func ansibleEnvironment(dir string) []string {
	env := []string{
		"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TMPDIR=" + dir, "ANSIBLE_LOCAL_TEMP=" + filepath.Join(dir, "local"),
		"ANSIBLE_NOCOLOR=1", "ANSIBLE_NOCOWS=1", "ANSIBLE_RETRY_FILES_ENABLED=0", "ANSIBLE_PIPELINING=1",
		// A play for others than "all" would do nothing, and be said to have gone well.
		"ANSIBLE_HOST_PATTERN_MISMATCH=error",
	}
	for _, name := range []string{"PATH", "HOME"} {
		if value, there := os.LookupEnv(name); there {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// What lies in the folder of a run. The key and the secrets do not: an agent in this
// process has the one, and the others go through a pipe.
const (
	agentSocket   = "agent"
	varsPipe      = "vars.yml"
	knownHosts    = "known_hosts"
	inventoryFile = "inventory.yml"
	playbookFile  = "playbook.yml"
)

// prepare writes what ansible-playbook reads, and says where the playbook is.
func prepare(dir string, s core.AnsibleStep, name string, at core.Access) (playbook string, err error) {
	var keys strings.Builder
	for _, key := range at.HostKeys {
		fmt.Fprintf(&keys, "%s %s\n", name, key)
	}
	host := map[string]any{
		"ansible_connection": "ssh", "ansible_host": at.Address, "ansible_port": at.SSHPort, "ansible_user": at.SSHUser,
		"ansible_ssh_args": sshOptions(dir, name), "ansible_host_key_checking": true, "ansible_python_interpreter": "auto_silent",
	}
	if s.As != core.AsLogin && at.SSHUser != "root" {
		host["ansible_become"], host["ansible_become_method"], host["ansible_become_user"] = true, "sudo", "root"
	}
	inventory, err := literally(map[string]any{"all": map[string]any{"hosts": map[string]any{name: host}}})
	if err != nil {
		return "", err
	}
	files := map[string]string{knownHosts: keys.String(), inventoryFile: string(inventory)}
	playbook = s.Path
	if playbook == "" {
		playbook, files[playbookFile] = filepath.Join(dir, playbookFile), s.Playbook
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return playbook, nil
}

// sshOptions have ssh take the machine's own host key and no other, and our key, whatever
// else this host's user has. What comes first counts.
func sshOptions(dir, name string) string {
	var all []string
	for _, option := range []string{
		"IdentityAgent=" + strconv.Quote(filepath.Join(dir, agentSocket)), "IdentityFile=none", "BatchMode=yes",
		"StrictHostKeyChecking=yes", "UserKnownHostsFile=" + strconv.Quote(filepath.Join(dir, knownHosts)), "GlobalKnownHostsFile=none", "HostKeyAlias=" + name,
		// A shared connection would outlive the playbook, in a process of its own.
		"ControlMaster=no", "ControlPath=none",
	} {
		all = append(all, "-o", "'"+option+"'")
	}
	return "-F none " + strings.Join(all, " ")
}

// variables are what the playbook is told: facts, the step's own, and its secrets.
func variables(ctx context.Context, r core.StepRun) ([]byte, error) {
	vars, err := r.Step.Ansible.Vars.Expand(r)
	if err != nil {
		return nil, failed(core.Invalid, "vars: %w", err)
	}
	all := map[string]any{}
	for name, value := range vars {
		all[name] = value
	}
	for name := range r.Step.Secrets {
		if all[name], err = r.Secret(ctx, name); err != nil {
			return nil, err
		}
	}
	if all[core.AnsibleFacts], err = asTemplatesHave(r.Facts); err != nil {
		return nil, failed(core.Internal, "facts: %w", err)
	}
	text, err := literally(all)
	if err != nil {
		return nil, failed(core.Invalid, "vars: %w", err)
	}
	return text, nil
}

// asTemplatesHave are facts under the names that templates know them by.
func asTemplatesHave(f core.Facts) (facts map[string]any, err error) {
	text, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(text, &facts)
	}
	return facts, err
}

// lookForReader is how often it is looked whether somebody reads a pipe.
const lookForReader = 20 * time.Millisecond

// tell has who first reads a pipe be told a text, as long as ctx lasts.
func tell(ctx context.Context, pipe string, text []byte) error {
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		return err
	}
	go func() {
		look := time.NewTicker(lookForReader)
		defer look.Stop()
		for ctx.Err() == nil {
			// To wait for a reader in open would be to wait for ever where none comes.
			f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			if err == nil {
				_, _ = f.Write(text) // who does not read on has no variables
				_ = f.Close()
				return
			}
			select {
			case <-ctx.Done():
			case <-look.C:
			}
		}
	}()
	return nil
}

// literally is a value as YAML that Ansible takes as it is: what users name their machines
// and labels is no template of its, which could run programs here.
func literally(value any) ([]byte, error) {
	var tree yaml.Node
	if err := tree.Encode(value); err != nil {
		return nil, err
	}
	var mark func(n *yaml.Node)
	mark = func(n *yaml.Node) {
		for i, inner := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 { // keys are no templates
				mark(inner)
			}
		}
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			n.Tag, n.Style = "!unsafe", yaml.DoubleQuotedStyle
		}
	}
	mark(&tree)
	return yaml.Marshal(&tree)
}
