package core

import "fmt"

// PluginStep is done by a program of the operator's own: the executable
// metalpool-step-NAME on the hosts that work on the pool.
type PluginStep struct {
	// Name is the plugin's.
	Name string `json:"name" yaml:"name"`
	// Config is what the plugin wants to know. Texts in it are templates.
	Config FreeForm `json:"config,omitempty" yaml:"config,omitempty"`
}

func (s *PluginStep) check(spent *effort) error {
	if !namePattern().MatchString(s.Name) {
		return inPart(fmt.Errorf("%q cannot name a plugin; it is NAME of the executable metalpool-step-NAME", s.Name), "name")
	}
	size, err := s.Config.size("config")
	switch {
	case err != nil:
		return err
	case Bytes(size) > maxStepText:
		return fmt.Errorf("config has %s", tooLong(size))
	}
	return s.Config.check("config", spent)
}
