// Command schema prints the JSON Schema of rack files. It is made of the types that a
// file is read into: what is added to them is in the schema, with its comment.
package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

func main() {
	if err := write(os.Stdout, filepath.Join("..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write makes the schema by the source below root.
func write(w io.Writer, root string) error {
	made := maker{comments: map[string]string{}, words: map[string][]any{}}
	for _, folder := range []string{"core", "core/rackfile"} {
		if err := made.read(root, folder); err != nil {
			return err
		}
	}
	schema := made.schema()
	schema.Title = "metalpool's rack file"
	schema.Description = "What an operator declares: see docs/rack-file.md and docs/steps.md."
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// maker knows of the source what reflection does not.
type maker struct {
	comments map[string]string // by type, and by type.Field
	words    map[string][]any  // the constants of a type, which are all that it may be
}

// read looks through one package.
func (m maker) read(root, folder string) error {
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				m.declared(filepath.Base(folder), d)
			}
		}
	}
	return nil
}

func (m maker) declared(in string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			name := in + "." + s.Name.Name
			m.comments[name] = told(d.Doc, s.Doc)
			fields, ok := s.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range fields.Fields.List {
				for _, n := range f.Names {
					m.comments[name+"."+n.Name] = told(f.Doc, f.Comment)
				}
			}
		case *ast.ValueSpec:
			of, ok := s.Type.(*ast.Ident)
			if d.Tok != token.CONST || !ok {
				continue
			}
			for _, v := range s.Values {
				if text, ok := v.(*ast.BasicLit); ok && text.Kind == token.STRING {
					if word, err := strconv.Unquote(text.Value); err == nil && word != "" {
						m.words[in+"."+of.Name] = append(m.words[in+"."+of.Name], word)
					}
				}
			}
		}
	}
}

// told is what comments say, on one line.
func told(comments ...*ast.CommentGroup) string {
	var words []string
	for _, c := range comments {
		words = append(words, strings.Fields(c.Text())...)
	}
	return strings.Join(words, " ")
}

func (m maker) schema() *jsonschema.Schema {
	r := jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, FieldNameTag: "yaml", Mapper: m.mapped,
		LookupComment: func(t reflect.Type, field string) string {
			return m.comments[strings.TrimSuffix(t.String()+"."+field, ".")]
		},
	}
	schema := r.Reflect(rackfile.File{})
	schema.Definitions["Step"].OneOf = kinds()
	return schema
}

var textual = reflect.TypeFor[encoding.TextUnmarshaler]()

// mapped is what is written otherwise than its type looks like.
func (m maker) mapped(t reflect.Type) *jsonschema.Schema {
	switch words := m.words[t.String()]; {
	case t == reflect.TypeFor[core.Reference]():
		return &jsonschema.Schema{Type: "string", Pattern: "^(" + strings.Join([]string{core.FromEnvironment, core.FromFile, core.FromProgram}, "|") + ")"}
	case t.Kind() == reflect.String && len(words) > 0:
		return &jsonschema.Schema{Type: "string", Enum: words}
	case t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(textual):
		return &jsonschema.Schema{Type: "string"}
	case t == reflect.TypeFor[map[string]string]():
		// YAML takes 7 for a number, and the reader takes that for its text.
		scalar := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
		return &jsonschema.Schema{Type: "object", AdditionalProperties: scalar}
	}
	return nil
}

// kinds are what a step may be, one of them.
func kinds() (one []*jsonschema.Schema) {
	for _, name := range core.KindFields() {
		one = append(one, &jsonschema.Schema{Required: []string{name}})
	}
	return one
}
