package core

import (
	"fmt"
	"path/filepath"
	"strings"
)

// AnsibleStep is a playbook, which ansible-playbook plays on the host that works on the
// node, for the machine alone. Its plays name it as "all".
type AnsibleStep struct {
	// Playbook is its text.
	Playbook string `json:"playbook,omitempty" yaml:"playbook,omitempty"`
	// Path is its file instead, with its roles and files beside it, on the hosts that work on
	// the pool.
	Path string `json:"path,omitempty" yaml:"path,omitempty"`
	// Vars are variables. Texts in them are templates of ours; what they make is not one of
	// Ansible's any more.
	Vars FreeForm `json:"vars,omitempty" yaml:"vars,omitempty"`
	// As is who does the tasks: root, which is the default, or the login user.
	As ScriptUser `json:"as,omitempty" yaml:"as,omitempty"`
}

// AnsibleFacts is the variable that holds Facts.
const AnsibleFacts = "metalpool"

func (s *AnsibleStep) check(secrets map[string]Reference, spent *effort) error {
	switch {
	case (strings.TrimSpace(s.Playbook) == "") == (s.Path == ""):
		return fmt.Errorf("say either playbook, which is its text, or path, which is its file")
	case s.Path != "" && !filepath.IsAbs(s.Path):
		return inPart(fmt.Errorf("%q does not begin with /", s.Path), "path")
	case s.As != "" && s.As != AsRoot && s.As != AsLogin:
		return inPart(fmt.Errorf("%q is nobody; say %s or %s", s.As, AsRoot, AsLogin), "as")
	}
	for name := range s.Vars {
		switch _, secret := secrets[name]; {
		case !variableName().MatchString(name) || name == AnsibleFacts || strings.HasPrefix(name, "ansible_"):
			return fmt.Errorf("vars: %q cannot name a variable; use letters, digits and underscores, and neither %s nor what begins with ansible_", name, AnsibleFacts)
		case secret:
			return fmt.Errorf("vars: %s is among the secrets as well", name)
		}
	}
	size, err := s.Vars.size("vars")
	size += len(s.Playbook)
	switch {
	case err != nil:
		return err
	case Bytes(size) > maxStepText:
		return fmt.Errorf("it has %s; name a file with path", tooLong(size))
	}
	return s.Vars.check("vars", spent)
}
