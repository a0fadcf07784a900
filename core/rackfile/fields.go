package rackfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core/internal/spelling"
)

// checkFields looks whether a document has only fields that its type has, and says of one
// that it has not which comes nearest. Its errors have lines, and no values.
func checkFields(n *yaml.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return checkFields(n.Content[0], t)
	case n.Kind == yaml.ScalarNode:
		return checkText(n, t)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			if err := checkFields(item, t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := fieldsOf(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			field, there := fields[key.Value]
			if !there {
				return fmt.Errorf("line %d: field %s not found%s", key.Line, key.Value, nearest(key.Value, fields))
			}
			if err := checkFields(n.Content[i+1], field); err != nil {
				return err
			}
		}
	}
	return nil
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
