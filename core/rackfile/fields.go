package rackfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/internal/spelling"
)

// checkFields looks whether a document has only fields that its type has, and says of one
// that it has not which comes nearest. Its errors have lines, and no values.
func checkFields(n *yaml.Node, t reflect.Type) error {
	return fieldsChecked{}.check(n, t)
}

// fieldsChecked is which parts of a document were looked at as which type: one that
// others refer to is looked at once.
type fieldsChecked map[checkedPart]bool

type checkedPart struct {
	node *yaml.Node
	as   reflect.Type
}

func (c fieldsChecked) check(n *yaml.Node, t reflect.Type) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c[checkedPart{n, t}] {
		return nil
	}
	c[checkedPart{n, t}] = true
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return c.check(n.Content[0], t)
	case n.Kind == yaml.ScalarNode:
		return checkText(n, t)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			if err := c.check(item, t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := fieldsOf(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			field, there := fields[key.Value]
			if !there {
				return fmt.Errorf("line %d: %s", key.Line, unknown(key.Value, n.Content[i+1], t, fields))
			}
			if err := fillEmpty(n.Content[i+1], field); err != nil {
				return err
			}
			if err := c.check(n.Content[i+1], field); err != nil {
				return err
			}
		}
	}
	return nil
}

// unknown says of a field that is none which was meant. In a step, what holds fields of
// its own is a kind.
func unknown(word string, holds *yaml.Node, t reflect.Type, fields map[string]reflect.Type) string {
	if t != reflect.TypeFor[core.Step]() || holds.Kind != yaml.MappingNode {
		return fmt.Sprintf("field %s not found%s", word, nearest(word, fields))
	}
	kinds := map[string]reflect.Type{}
	for _, name := range core.KindFields() {
		kinds[name] = fields[name]
	}
	return fmt.Sprintf("no kind of step is called %s%s", word, nearest(word, kinds))
}

// fillEmpty writes out what a field without a value means where one that is left out
// means something else: the parser takes both for the same.
func fillEmpty(n *yaml.Node, t reflect.Type) error {
	if n.Tag != "!!null" || n.Kind != yaml.ScalarNode {
		return nil
	}
	var zero any
	switch {
	case t.Kind() == reflect.Pointer && t.Elem().Kind() != reflect.Struct:
		zero = reflect.Zero(t.Elem()).Interface()
	case t.Kind() == reflect.Slice:
		zero = reflect.MakeSlice(t, 0, 0).Interface()
	default:
		return nil
	}
	line := n.Line
	err := n.Encode(zero)
	n.Line = line
	return err
}

// checkText has types that read themselves from text do so: the parser would not tell
// where it was.
func checkText(n *yaml.Node, t reflect.Type) error {
	into, reads := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !reads {
		return nil
	}
	if err := into.UnmarshalText([]byte(n.Value)); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

// fieldsOf are the types of a struct's fields, by their names in a file.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case rest == "inline":
			for inner, of := range fieldsOf(f.Type) {
				fields[inner] = of
			}
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

// nearest is which field was meant, or all there are.
func nearest(word string, fields map[string]reflect.Type) string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	best := slices.MinFunc(names, func(a, b string) int { return spelling.Distance(word, a) - spelling.Distance(word, b) })
	if spelling.Distance(word, best) <= max(1, len(word)/3) {
		return "; did you mean " + best + "?"
	}
	return "; there are: " + strings.Join(names, ", ")
}
