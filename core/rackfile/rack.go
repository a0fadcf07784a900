package rackfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// Rack is a file as it was read, with where in it everything is.
type Rack struct {
	File
	// Declaration is what the file declares.
	Declaration core.Declaration
	// Path is the file's, as it was given.
	Path string
	// Empty is a file that holds nothing at all, but perhaps comments.
	Empty bool
	at    map[thing]*yaml.Node
}

// thing is what a file declares.
type thing struct{ of, name string }

// Read reads a file strictly, and what it declares: what it does not know is an Invalid
// error, which tells of all that is wrong with the file by line and column. path is the
// file's, for errors and as who declares that; "" is none. No error shows a value of the
// file's own, since any might be a password in the wrong place.
func Read(path string, r io.Reader) (Rack, error) {
	rack, err := read(path, r)
	if err != nil {
		told := &core.Error{Op: opRead, Kind: core.Invalid, Err: err}
		if !strings.Contains(err.Error(), "\n") {
			told.Hint = hint
		}
		return Rack{}, told
	}
	return rack, nil
}

func read(path string, r io.Reader) (Rack, error) {
	rack := Rack{Path: path}
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return rack, err
	}
	if len(text) > maxSize {
		return rack, fmt.Errorf("it has more than %s", core.Bytes(maxSize))
	}
	wrong := faults{in: path}
	tree, err := decode(text, &rack.File, &wrong)
	if err != nil {
		return rack, err
	}
	rack.Empty = tree.Kind == 0 || len(tree.Content) == 1 && tree.Content[0].Tag == "!!null"
	rack.check(tree, &wrong)
	if err := wrong.err(); err != nil {
		return rack, err
	}
	rack.Declaration = rack.declaration(core.DeclaredIn(cmp.Or(rack.Name, filepath.Base(path))), tree)
	rack.find(tree)
	return rack, nil
}

// find notes where each thing is.
func (r *Rack) find(tree *yaml.Node) {
	r.at = map[thing]*yaml.Node{}
	for of, list := range named(r.File, r.Declaration) {
		for i, n := range items(tree, of+"s") {
			r.at[thing{of, list[i]}] = n
		}
	}
}

// named are the names of all that a file declares, by what they are of.
func named(f File, d core.Declaration) map[string][]string {
	return map[string][]string{
		"image":   names(f.Images, func(i core.ImageDeclaration) string { return i.Name }),
		"step":    names(f.Steps, func(s core.Step) string { return s.Name }),
		"profile": names(f.Profiles, func(p core.Profile) string { return p.Name }),
		"pool":    names(f.Pools, func(p core.PoolDeclaration) string { return p.Name }),
		"node":    names(d.Nodes, core.NodeDeclaration.Label),
	}
}

func names[T any](all []T, name func(T) string) []string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = name(one)
	}
	return texts
}

// At is where in the file something is, as path:line:column; "" where it is not in it.
func (r Rack) At(of, name string, m core.Remark) string {
	n := r.at[thing{of, name}]
	if n == nil {
		return ""
	}
	line, column := place(n, m)
	return spot(r.Path, line, column)
}

// place is where a part of a thing is, or what there is of the way to it.
func place(n *yaml.Node, m core.Remark) (line, column int) {
	line, column = n.Line, n.Column
	for _, step := range m.Path {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if i, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			n = n.Content[i]
			line, column = n.Line, n.Column
			continue
		}
		key, value := entry(n, step)
		if key == nil {
			return line, column
		}
		n, line, column = value, key.Line, key.Column
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			line, column = n.Line, n.Column
		}
	}
	if m.Line > 0 && n.Style&yaml.LiteralStyle != 0 {
		return n.Line + m.Line, 0
	}
	return line, column
}

// Clash refuses files of which two declare the same thing.
func Clash(racks []Rack) error {
	where := map[thing]string{}
	var wrong []string
	for _, r := range racks {
		for of, list := range named(r.File, r.Declaration) {
			for _, name := range list {
				at := r.At(of, name, core.Remark{})
				if other, twice := where[thing{of, name}]; twice {
					wrong = append(wrong, fmt.Sprintf("%s: %s %s is declared at %s, too", at, of, name, other))
					continue
				}
				where[thing{of, name}] = at
			}
		}
	}
	slices.Sort(wrong)
	return clashed(wrong, "keep one of each")
}

// OneDeclarer refuses files of which two are of one name: applied by itself, each would be
// refused what the other has declared.
func OneDeclarer(racks []Rack) error {
	by := map[core.Declarer]string{}
	var wrong []string
	for _, r := range racks {
		name := r.Declaration.By.Name()
		if other, twice := by[name]; twice {
			wrong = append(wrong, fmt.Sprintf("%s and %s both declare things as %s", other, r.Path, name))
		}
		by[name] = r.Path
	}
	return clashed(wrong, "give one of them a name of its own, by a line 'name: …' at its top")
}

func clashed(wrong []string, next string) error {
	if len(wrong) == 0 {
		return nil
	}
	if n := len(wrong) - maxFaults; n > 0 {
		wrong = append(wrong[:maxFaults], fmt.Sprintf("and %d more", n))
	}
	return &core.Error{Op: opRead + "s", Kind: core.Invalid, Err: errors.New(strings.Join(wrong, "\n")), Hint: next}
}
