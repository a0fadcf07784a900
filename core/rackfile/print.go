package rackfile

import (
	"bytes"
	"io"
	"reflect"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// Write writes the file to path, readable by its owner alone; an old one is replaced
// whole or not at all.
func (f File) Write(path string) error {
	text, err := f.text()
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, text, 0o600); err != nil {
		return &core.Error{Op: opWrite, Kind: core.Invalid, Err: err}
	}
	return nil
}

// Print writes the file for people to read: see Export for what it must not hold.
func (f File) Print(w io.Writer) error {
	text, err := f.text()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

const opWrite = "write rack file"

// text is the file as YAML, from which the same is read whatever texts it holds. The
// library would write some in a style that does not hold them, and asks nobody which to
// take; in flow style it quotes them all. So they are brought into nodes that way, and the
// styles are ours.
func (f File) text() ([]byte, error) {
	quoted := struct {
		File File `yaml:",flow"`
	}{f}
	var tree yaml.Node
	if err := tree.Encode(quoted); err != nil {
		return nil, &core.Error{Op: opWrite, Kind: core.Internal, Err: err}
	}
	file := tree.Content[1]
	lay(file, reflect.TypeOf(f), false)
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2) // with 4 the library tells wrongly how far a text is indented that begins with spaces
	if err := e.Encode(file); err != nil {
		return nil, &core.Error{Op: opWrite, Kind: core.Internal, Err: err}
	}
	return text.Bytes(), e.Close()
}

// lay has mappings and lists stand in lines of their own, but where their type has them in
// one, and texts of several lines as they are, where they can.
func lay(n *yaml.Node, t reflect.Type, oneLine bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge": // merges there are none
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	case n.Kind == yaml.ScalarNode:
		n.Style = style(n)
	case !oneLine:
		n.Style = 0
	}
	var fields map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		fields = fieldsOf(t)
	}
	for i, part := range n.Content {
		of, flow := t, false // of what is any
		switch key := n.Kind == yaml.MappingNode && i%2 == 0; {
		case key:
			of = reflect.TypeFor[string]()
		case t.Kind() == reflect.Struct:
			name := n.Content[i-1].Value
			of, flow = fields[name], inOneLine(t, name)
		case t.Kind() == reflect.Map || t.Kind() == reflect.Slice:
			of = t.Elem()
		}
		lay(part, of, flow)
	}
}

// style is the one of a text that is quoted as it would be in flow style.
func style(n *yaml.Node) yaml.Style {
	switch {
	case strings.HasPrefix(n.Value, "\t"):
		return n.Style // the tab would count as its indentation
	case strings.Contains(n.Value, "\n"):
		return yaml.LiteralStyle // the library quotes it where it cannot be that, and says so
	case n.Style == yaml.SingleQuotedStyle:
		return 0 // it needs no quotes, or gets them again
	}
	return n.Style
}

// inOneLine reports whether a field of a struct is written in one line.
func inOneLine(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		own, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if own == name && strings.Contains(rest, "flow") || rest == "inline" && inOneLine(f.Type, name) {
			return true
		}
	}
	return false
}
