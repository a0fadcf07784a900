package cloudconfig

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Part is what somebody wants of cloud-init.
type Part struct {
	Of     string // whose it is, for people: "step agent", "the user data"
	Config Config
}

// ConflictError is something that two parts want and that a machine can have only once.
type ConflictError struct {
	Key string    // where: "timezone", "write_files /etc/motd"
	Of  [2]string // whose parts, in their order
	// Kinds is that they do not even agree on what sort of value it has.
	Kinds bool
}

func (e *ConflictError) Error() string {
	if e.Kinds {
		return fmt.Sprintf("%s and %s disagree on %s: one has a list, a map or a single value where the other has none", e.Of[0], e.Of[1], e.Key)
	}
	return fmt.Sprintf("%s and %s disagree on %s", e.Of[0], e.Of[1], e.Key)
}

// Join makes one of all parts, in their order: maps are joined key by key and lists end to
// end. Two values for one thing are a ConflictError, unless they are the same.
func Join(parts ...Part) (Config, error) {
	j := joint{of: map[*yaml.Node]string{}}
	var top *yaml.Node
	for _, p := range parts {
		next := clone(p.Config.top)
		if next == nil {
			continue
		}
		j.mark(next, p.Of)
		if top == nil {
			top = next
			continue
		}
		if err := j.join(top, next, ""); err != nil {
			return Config{}, err
		}
	}
	if top == nil {
		return Config{}, nil
	}
	return Config{top}, j.files(top)
}

// joint knows whose each node is.
type joint struct{ of map[*yaml.Node]string }

func (j joint) mark(n *yaml.Node, of string) {
	j.of[n] = of
	for _, c := range n.Content {
		j.mark(c, of)
	}
}

func (j joint) conflict(a, b *yaml.Node, at string, kinds bool) error {
	return &ConflictError{Key: strings.TrimPrefix(at, "."), Of: [2]string{j.of[a], j.of[b]}, Kinds: kinds}
}

// join puts b into a, which is a map as b is.
func (j joint) join(a, b *yaml.Node, at string) error {
	for i := 0; i+1 < len(b.Content); i += 2 {
		key, value := b.Content[i], b.Content[i+1]
		there := valueOf(a, key.Value)
		if there < 0 {
			a.Content = append(a.Content, key, value)
			continue
		}
		before, path := a.Content[there], at+"."+key.Value
		switch {
		case isNull(value):
		case isNull(before):
			a.Content[there] = value
		case before.Kind != value.Kind:
			return j.conflict(before, value, path, true)
		case value.Kind == yaml.SequenceNode:
			before.Content = append(before.Content, value.Content...)
		case value.Kind == yaml.MappingNode:
			if err := j.join(before, value, path); err != nil {
				return err
			}
		case !same(before, value):
			return j.conflict(before, value, path, false)
		}
	}
	return nil
}

// same reports whether two values are, whatever they look like in the text.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// files looks for a file that two parts write: the list has both, and the later one would
// quietly take the place of the other.
func (j joint) files(top *yaml.Node) error {
	at := valueOf(top, "write_files")
	if at < 0 || top.Content[at].Kind != yaml.SequenceNode {
		return nil
	}
	written := map[string]*yaml.Node{}
	for _, file := range top.Content[at].Content {
		path := textOf(file, "path")
		if path == "" || textOf(file, "append") == "true" {
			continue
		}
		before, there := written[path]
		if there && j.of[before] != j.of[file] && !same(before, file) {
			return j.conflict(before, file, "write_files "+path, false)
		}
		written[path] = file
	}
	return nil
}

// textOf is a single value of a map; "" where it has none.
func textOf(n *yaml.Node, key string) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	at := valueOf(n, key)
	if at < 0 || n.Content[at].Kind != yaml.ScalarNode {
		return ""
	}
	return n.Content[at].Value
}
