package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fieldDifferences names the fields in which two things of a type differ.
func fieldDifferences(there, want any) []string {
	before, after := flat(there), flat(want)
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	var all []string
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		b, a := before[path], after[path]
		switch {
		case b == a:
		case len(b)+len(a) > 60 || strings.Contains(path, "env.") || strings.Contains(path, "headers.") || mayHoldKey(b+a):
			all = append(all, path)
		default:
			all = append(all, fmt.Sprintf("%s: %s → %s", path, orNone(b), orNone(a)))
		}
	}
	return all
}

// mayHoldKey reports whether text is of an address that lets in whoever has it.
func mayHoldKey(text string) bool {
	_, address, is := strings.Cut(text, "://")
	return is && strings.ContainsAny(address, "?@")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// flat is a thing as its fields, by their paths in JSON. A number is the same however it is
// spelled: programs send others than a rack file does.
func flat(thing any) map[string]string {
	text, _ := json.Marshal(thing) // what is stored can be written
	var tree any
	_ = unmarshalToTheDigit(text, &tree)
	fields := map[string]string{}
	var part func(path string, v any)
	part = func(path string, v any) {
		if m, ok := v.(map[string]any); ok && len(m) > 0 {
			for key, value := range m {
				part(strings.TrimPrefix(path+"."+key, "."), value)
			}
			return
		}
		v, _ = walk("", v, func(_ string, leaf any) (any, error) {
			if n, is := leaf.(json.Number); is {
				return asYAMLReads(n), nil
			}
			return leaf, nil
		})
		written, _ := json.Marshal(v)
		fields[path] = string(written)
	}
	part("", tree)
	return fields
}
