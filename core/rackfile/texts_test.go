package rackfile

import (
	"bytes"
	"encoding"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// texts are those that YAML holds in one of its styles, and not in another.
var texts = []string{
	"", "text", "#!/bin/sh\nset -e\ntrue\n", "two\nlines", "#cloud-config\n\n\npackages: [curl]\n\n\n",
	"\tindented\n\tby tabs\n", "\tone\ntwo", " one\ntwo\n", "    one\n  two\n", "\n\none\n", "\n\tone\n", "\n one\n", "\r\none\n", "one\r\ntwo\r\n", "one \ntwo\t\n", "one\n ", "one\n\t", "one\n\n \n\n",
	"\n", "\n\n\n", "\t", "\t\n", " ", " \n", "\r", "one\rtwo\nthree",
	"\x00\n", "one\x1b[31m\ntwo", "\a\b\v\f\x7f", "\u0085", "one\u0085two\nthree\u0085", "one\u2028two", "\u2028one\ntwo\u2028\u2029", "one\u2028\n two", "\ufeffone\ntwo", "one\ufeff", "\u00a0one\n\u00a0two", "\uffff\n", "🖥\n🖥",
	"# one\n# two\n", "one # two", "#", "one: two", "one:\n  two: 'three'\n", "- one\n- two\n", "--- one\n--- two\n", "...\n", "%YAML 1.1\n---\n", "| \n", "key: |2\n  one\n", "\"one\"\n\\n'two'", "{{.Node.ID}}\n", "*a\n", "&a\n", "!!int\n", "<<", "? one\n: two\n",
	"null", "~", "true", "yes", "12", "0x1f", "1_000", "1e3", ".nan", "12:30:45", "2026-01-02", "=", "\xff\n", "one\xc3\ntwo",
	strings.Repeat("long ", 100), strings.Repeat("long ", 100) + "\n", strings.Repeat("x", 2000),
}

// fill puts a text into everything of a value that can hold any: into lists and mappings
// of it, and as their keys, too.
func fill(v reflect.Value, text string) {
	if _, reads := v.Addr().Interface().(encoding.TextUnmarshaler); reads {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("yaml") != "-" {
				fill(v.Field(i), text)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), text)
		fill(v.Index(1), text)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text)
		fill(value, text)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{text, text}))
	}
}

// FuzzTexts writes a file that has the same text in every place that takes one. Whatever
// it is, the same is read.
func FuzzTexts(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want File
		fill(reflect.ValueOf(&want).Elem(), text)
		var printed bytes.Buffer
		if err := want.Print(&printed); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "rack.yaml")
		if err := want.Write(path); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{printed.Bytes(), written} {
			var got File
			var wrong faults
			if _, err := decode(form, &got, &wrong); err != nil || wrong.err() != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q is read back otherwise: %v, %v\n%s", text, err, wrong.err(), form)
			}
		}
	})
}
