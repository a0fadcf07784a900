package rackfile

import (
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// Declarations is what of a rack file `metalpool apply` has the pool be. The names of its
// fields are those of core's types.
type Declarations struct {
	Steps    []core.Step        `yaml:"steps,omitempty"`
	Profiles []core.Profile     `yaml:"profiles,omitempty"`
	Pools    []core.PoolProfile `yaml:"pools,omitempty"`
}

// ParseDeclarations reads a rack file as strictly as Parse does, for all in it that is
// declared. nodes tells how many servers it lists besides.
func ParseDeclarations(r io.Reader) (d Declarations, nodes int, err error) {
	invalid := func(err error) (Declarations, int, error) {
		return Declarations{}, 0, &core.Error{Op: "read rack file", Kind: core.Invalid, Err: err, Hint: "see docs/steps.md for what is declared, and docs/rack-file.md for the rest"}
	}
	f, text, err := readFile(r)
	if err != nil {
		return invalid(err)
	}
	var lines struct {
		Steps    []yaml.Node `yaml:"steps"`
		Profiles []yaml.Node `yaml:"profiles"`
		Pools    []yaml.Node `yaml:"pools"`
	}
	if err := yaml.Unmarshal(text, &lines); err != nil {
		return invalid(plain(err))
	}
	for i, s := range f.Steps {
		if err := s.Validate(); err != nil {
			return invalid(atLine(lines.Steps[i], err))
		}
	}
	for i, p := range f.Profiles {
		if err := p.Validate(); err != nil {
			return invalid(atLine(lines.Profiles[i], err))
		}
	}
	for i, p := range f.Pools {
		if p.Name == "" {
			return invalid(atLine(lines.Pools[i], errors.New("a pool has no name")))
		}
	}
	return f.Declarations, len(f.Nodes), nil
}

// atLine says where in the file an error is.
func atLine(n yaml.Node, err error) error { return fmt.Errorf("line %d: %w", n.Line, err) }

// Write writes what is declared as a rack file.
func (d Declarations) Write(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(d); err != nil {
		return &core.Error{Op: "write rack file", Kind: core.Internal, Err: err}
	}
	return e.Close()
}
