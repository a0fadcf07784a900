package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FreeForm is what another program understands, and not we: YAML of any shape, whose keys
// are texts. Texts in it are templates, which see no secrets.
type FreeForm map[string]any

// UnmarshalJSON implements json.Unmarshaler. Numbers stay as they were written.
func (f *FreeForm) UnmarshalJSON(text []byte) error {
	return unmarshalToTheDigit(text, (*map[string]any)(f))
}

// MarshalYAML implements the marshaler of YAML, to which json.Number is a text.
func (f FreeForm) MarshalYAML() (any, error) { return numbersOfYAML(f) }

// unmarshalToTheDigit is json.Unmarshal for what may be of any type: numbers come as
// json.Number, since a large one would come out of a float64 as another.
func unmarshalToTheDigit(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// asYAMLReads is a number in the spelling that it has once it has been in a rack file: those
// with a fraction or an exponent lose what they do not need of it, as in 7.0 and 1e3.
func asYAMLReads(n json.Number) json.Number {
	if !strings.ContainsAny(n.String(), ".eE") {
		return n
	}
	f, err := n.Float64()
	if err != nil {
		return n
	}
	text, _ := json.Marshal(f) // what could be read can be written
	return json.Number(text)
}

// numbersOfYAML is a tree with numbers that the marshaler of YAML knows as such.
func numbersOfYAML(tree map[string]any) (any, error) {
	return walk("", tree, func(_ string, leaf any) (any, error) {
		number, is := leaf.(json.Number)
		if !is {
			return leaf, nil
		}
		if n, err := number.Int64(); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(number.String(), 10, 64); err == nil {
			return n, nil
		}
		return number.Float64()
	})
}

// Expand fills the facts of a run into every text in it.
func (f FreeForm) Expand(r StepRun) (FreeForm, error) {
	filled, err := walk("", map[string]any(f), func(path string, leaf any) (any, error) {
		text, is := leaf.(string)
		if !is {
			return leaf, nil
		}
		text, err := r.Expand(text, noSecrets)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return text, nil
	})
	if err != nil {
		return nil, err
	}
	return filled.(map[string]any), nil
}

func noSecrets(string) (string, error) {
	return "", errors.New("secrets are handed on by themselves, under the names that the step declares")
}

// size is how many bytes it takes to keep it, if that can be done.
func (f FreeForm) size(what string) (int, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return 0, fmt.Errorf("%s: it has what JSON has not: a key that is no text, or a number that is none", what)
	}
	return len(text), nil
}

// check looks whether its templates can be filled in.
func (f FreeForm) check(what string, spent *effort) error {
	_, err := walk(what, map[string]any(f), func(path string, leaf any) (any, error) {
		if text, is := leaf.(string); is {
			if _, _, err := sample(text, noSecrets, spent); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		return leaf, nil
	})
	return err
}

// walk makes a copy of a tree with its leaves changed. The path of one is written as in
// "servers[0].name".
func walk(path string, at any, change func(path string, leaf any) (any, error)) (_ any, err error) {
	switch at := at.(type) {
	case map[string]any:
		changed := make(map[string]any, len(at))
		for key, value := range at {
			below := key
			if path != "" {
				below = path + "." + key
			}
			if changed[key], err = walk(below, value, change); err != nil {
				return nil, err
			}
		}
		return changed, nil
	case []any:
		changed := make([]any, len(at))
		for i, value := range at {
			if changed[i], err = walk(fmt.Sprintf("%s[%d]", path, i), value, change); err != nil {
				return nil, err
			}
		}
		return changed, nil
	}
	return change(path, at)
}
