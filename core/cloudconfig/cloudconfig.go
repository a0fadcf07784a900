// Package cloudconfig joins what several people want of one machine's cloud-init: the
// operator's fragments with each other and with the user's own user data.
//
// It reads cloud-configs to nodes and not to values: "yes" and 0644 are to reach cloud-init
// as they were written. What it is given may be secret, so that no error shows a value.
package cloudconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Header is the first line of a cloud-config.
const Header = "#cloud-config"

// Config is one cloud-config; the zero Config asks for nothing.
type Config struct{ top *yaml.Node }

// Parse reads a cloud-config. A blank text asks for nothing.
func Parse(text string) (Config, error) {
	c, err := read(text)
	if err != nil || c.top == nil {
		return c, err
	}
	return c, plain(c.top)
}

// read is Parse for what has anchors and aliases as well.
func read(text string) (Config, error) {
	if strings.TrimSpace(text) == "" {
		return Config{}, nil
	}
	head, body, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(head) != Header {
		return Config{}, errors.New("its first line is not " + Header)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(body), &doc); err != nil {
		return Config{}, fmt.Errorf("below the first line: %w", err)
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return Config{}, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return Config{}, errors.New("it is no map of cloud-init's modules")
	}
	return Config{top}, nil
}

// plain refuses what means something only within its own document.
func plain(n *yaml.Node) error {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: anchors and aliases cannot be merged", n.Line+1)
	}
	for _, c := range n.Content {
		if err := plain(c); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether it asks for nothing.
func (c Config) Empty() bool { return c.top == nil }

// Keys are the modules that it configures.
func (c Config) Keys() (keys []string) {
	if c.top == nil {
		return nil
	}
	for i := 0; i+1 < len(c.top.Content); i += 2 {
		keys = append(keys, c.top.Content[i].Value)
	}
	return keys
}

// Text writes it as cloud-init reads it; "" where it asks for nothing.
func (c Config) Text() (string, error) {
	if c.top == nil {
		return "", nil
	}
	text, err := yaml.Marshal(quoted(c.top))
	return Header + "\n" + string(text), err
}

// quoted is a copy in which texts of several lines that begin with a blank have quotes: the
// library tells wrongly how far those are indented, and nobody could read them.
func quoted(n *yaml.Node) *yaml.Node {
	made := *n
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "\n") && strings.ContainsAny(n.Value[:1], " \t\n") {
		made.Style = n.Style&yaml.TaggedStyle | yaml.DoubleQuotedStyle
	}
	made.Content = nil
	for _, part := range n.Content {
		made.Content = append(made.Content, quoted(part))
	}
	return &made
}

// Override is c with another one laid over it: maps are merged key by key, lists are
// joined, and of two plain values the other one's counts.
func (c Config) Override(by Config) (Config, error) {
	top, err := override(clone(c.top), clone(by.top), "")
	return Config{top}, err
}

// override merges b into a. at is where in the document they are.
func override(a, b *yaml.Node, at string) (*yaml.Node, error) {
	switch {
	case b == nil:
		return a, nil
	case a == nil:
		return b, nil
	case a.Kind != b.Kind:
		return nil, fmt.Errorf("%s is of another kind there than in the configs before", strings.TrimPrefix(at, "."))
	case b.Kind == yaml.SequenceNode:
		a.Content = append(a.Content, b.Content...)
		return a, nil
	case b.Kind != yaml.MappingNode:
		return b, nil
	}
	for i := 0; i+1 < len(b.Content); i += 2 {
		key, value := b.Content[i], b.Content[i+1]
		there := valueOf(a, key.Value)
		if there < 0 {
			a.Content = append(a.Content, key, value)
			continue
		}
		merged, err := override(a.Content[there], value, at+"."+key.Value)
		if err != nil {
			return nil, err
		}
		a.Content[there] = merged
	}
	return a, nil
}

// valueOf is the index of a key's value in a map's content; -1 where there is none.
func valueOf(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// clone copies a tree, so that what is joined stays as it was for whoever has it too.
func clone(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Content = slices.Clone(n.Content)
	for i := range c.Content {
		c.Content[i] = clone(c.Content[i])
	}
	return &c
}
