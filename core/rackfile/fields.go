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

// checkFields looks whether a document has only fields that its type has, with values
// that fit them, and says of one that it has not which comes nearest. It shows no values.
// What does not fit is taken out, so that the rest can be read.
func checkFields(n *yaml.Node, t reflect.Type, wrong *faults) {
	fieldsChecked{map[checkedPart]bool{}, wrong}.check("the file", n, t)
}

// fieldsChecked is which parts of a document were looked at as which type: one that
// others refer to is looked at once.
type fieldsChecked struct {
	done  map[checkedPart]bool
	wrong *faults
}

type checkedPart struct {
	node *yaml.Node
	as   reflect.Type
}

// check looks at what is called name.
func (c fieldsChecked) check(name string, n *yaml.Node, t reflect.Type) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.done[checkedPart{n, t}] {
		return
	}
	c.done[checkedPart{n, t}] = true
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.DocumentNode {
		for _, content := range n.Content {
			c.check(name, content, t)
		}
		return
	}
	if needed := misfit(n, t); needed != "" {
		c.wrong.at(n, "%s is to be %s", name, needed)
		empty(n)
		return
	}
	switch {
	case n.Kind == yaml.ScalarNode:
		c.checkText(name, n, t)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			if isNull(item) {
				c.wrong.at(item, "an entry of %s is empty", name)
				continue
			}
			c.check("an entry of "+name, item, t.Elem())
		}
		// The parser leaves out what is empty: without it the others are where they stand.
		n.Content = slices.DeleteFunc(n.Content, isNull)
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			c.check(n.Content[i].Value, n.Content[i+1], t.Elem())
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		c.checkStruct(n, t)
	}
}

func (c fieldsChecked) checkStruct(n *yaml.Node, t reflect.Type) {
	fields := fieldsOf(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, there := fields[key.Value]
		if !there {
			c.wrong.at(key, "%s", unknown(key.Value, value, t, fields))
			continue
		}
		if err := fillEmpty(value, field); err != nil {
			c.wrong.at(value, "%s", err)
			continue
		}
		c.check(key.Value, value, field)
	}
}

// misfit is what a type needs that a part is not; "" where it may be read as that.
func misfit(n *yaml.Node, t reflect.Type) string {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" || reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return ""
	}
	text := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	scalar := n.Kind == yaml.ScalarNode
	switch t.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode && !text {
			return "a mapping, with fields of its own: " + strings.Join(slices.Sorted(keys(fieldsOf(t))), ", ")
		}
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			return "a mapping: names, each with a value"
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return "a list: [one, other], or a line for each that begins with a dash"
		}
	case reflect.Bool:
		if !scalar || n.Tag != "!!bool" {
			return "true or false"
		}
	case reflect.Int, reflect.Int64:
		if text && scalar {
			return ""
		}
		if !scalar || n.Tag != "!!int" {
			return "a number"
		}
	case reflect.String:
		if !scalar {
			return "a text"
		}
	}
	return ""
}

func keys(fields map[string]reflect.Type) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range fields {
			if !yield(name) {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// empty takes out what does not fit.
func empty(n *yaml.Node) { n.Kind, n.Tag, n.Value, n.Content = yaml.ScalarNode, "!!null", "", nil }

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
	line, column := n.Line, n.Column
	err := n.Encode(zero)
	n.Line, n.Column = line, column
	return err
}

// checkText has types that read themselves from text do so: the parser would not tell
// where it was.
func (c fieldsChecked) checkText(name string, n *yaml.Node, t reflect.Type) {
	into, reads := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !reads {
		return
	}
	if err := into.UnmarshalText([]byte(n.Value)); err != nil {
		f := core.FaultOf("", "", err)
		c.wrong.at(n, "%s: %s; %s", name, f.Text, f.Hint)
		empty(n)
	}
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
	names := slices.Sorted(keys(fields))
	best := slices.MinFunc(names, func(a, b string) int { return spelling.Distance(word, a) - spelling.Distance(word, b) })
	if spelling.Distance(word, best) <= max(1, len(word)/3) {
		return "; did you mean " + best + "?"
	}
	return "; there are: " + strings.Join(names, ", ")
}
