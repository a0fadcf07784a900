package cloudconfig

import (
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what aliases can make of a short text.
const maxNodes = 100_000

// maxDepth bounds how deep they can nest.
const maxDepth = 100

var errTooMuch = errors.New("its aliases make too much of it")

// expanded is a user's cloud-config as cloud-init takes it: with the values that its
// aliases stand for, and of a key that is there twice the last one.
func expanded(text string) (Config, error) {
	c, err := read(text)
	if err != nil || c.top == nil {
		return c, err
	}
	left := maxNodes
	top, err := expand(c.top, &left, maxDepth)
	return Config{top}, err
}

func expand(n *yaml.Node, left *int, depth int) (*yaml.Node, error) {
	if *left--; *left < 0 || depth == 0 {
		return nil, errTooMuch
	}
	if n.Kind == yaml.AliasNode {
		return expand(n.Alias, left, depth-1)
	}
	whole := *n
	whole.Anchor, whole.Content = "", nil
	for _, c := range n.Content {
		value, err := expand(c, left, depth-1)
		if err != nil {
			return nil, err
		}
		whole.Content = append(whole.Content, value)
	}
	if whole.Kind == yaml.MappingNode {
		whole.Content = settled(whole.Content)
	}
	return &whole, nil
}

// settled are the keys and values of a map, each key once: what is merged into it by "<<"
// gives way to its own.
func settled(pairs []*yaml.Node) []*yaml.Node {
	m := yaml.Node{Kind: yaml.MappingNode}
	var merged []*yaml.Node
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		there := valueOf(&m, key.Value)
		switch {
		case key.ShortTag() == "!!merge" && value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
		case there >= 0:
			m.Content[there] = value
		default:
			m.Content = append(m.Content, key, value)
		}
	}
	for _, from := range merged {
		if from.Kind != yaml.MappingNode {
			continue // cloud-init is going to say so
		}
		for i := 0; i+1 < len(from.Content); i += 2 {
			if valueOf(&m, from.Content[i].Value) < 0 {
				m.Content = append(m.Content, from.Content[i:i+2]...)
			}
		}
	}
	return slices.Clip(m.Content)
}
