package shell

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// environ shows a shell's variables to the expander.
type environ struct{ sh *Shell }

// homeOf reads a user's home from the machine's /etc/passwd; "" if there is no such
// user.
func homeOf(files vfs.View, user string) string {
	passwd, err := files.ReadFile("/etc/passwd")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(passwd)) {
		if fields := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(fields) == 7 && fields[0] == user {
			return fields[5]
		}
	}
	return ""
}

func text(s string) expand.Variable {
	return expand.Variable{Set: true, Kind: expand.String, Str: s}
}

// Get answers every name, special parameters included. "HOME user" is how the
// expander asks for ~user; it must always get an answer, since otherwise it asks
// the host's user database.
func (e environ) Get(name string) expand.Variable {
	sh := e.sh
	switch name {
	case "#":
		return text(strconv.Itoa(len(sh.params)))
	case "@", "*":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: append([]string{}, sh.params...)}
	case "?":
		return text(strconv.Itoa(sh.status))
	case "$":
		return text(strconv.Itoa(sh.pid))
	case "!":
		return text("1000")
	case "PPID":
		return text("1")
	case "0":
		return text(sh.name)
	case "RANDOM":
		return text(strconv.Itoa(rand.IntN(1 << 15)))
	case "UID", "EUID":
		return text(strconv.Itoa(sh.files.UID()))
	}
	if user, asked := strings.CutPrefix(name, "HOME "); asked {
		if home := homeOf(sh.files, user); home != "" {
			return text(home)
		}
		return text("~" + user)
	}
	if n, ok := number(name); ok && n > 0 {
		if n > len(sh.params) {
			return expand.Variable{}
		}
		return text(sh.params[n-1])
	}
	return sh.vars[name]
}

func (e environ) Each(fn func(name string, v expand.Variable) bool) {
	for _, name := range slices.Sorted(maps.Keys(e.sh.vars)) {
		if !fn(name, e.sh.vars[name]) {
			return
		}
	}
}

// Set is how ${x:=y} and arithmetic assign.
func (e environ) Set(name string, v expand.Variable) error { return e.sh.assign(name, v) }

func (sh *Shell) assign(name string, v expand.Variable) error {
	old := sh.vars[name]
	switch {
	case !syntax.ValidName(name):
		return fmt.Errorf("`%s': not a valid identifier", name)
	case old.ReadOnly:
		return fmt.Errorf("%s: readonly variable", name)
	}
	v.Exported = v.Exported || old.Exported
	sh.vars[name] = v
	return nil
}

func (sh *Shell) set(name, value string) { sh.vars[name] = mergeFlags(sh.vars[name], text(value)) }

func mergeFlags(old, v expand.Variable) expand.Variable {
	v.Exported = v.Exported || old.Exported
	return v
}

// value is what an assignment sets: name=word, name+=word or name=(words).
func (sh *Shell) value(as *syntax.Assign) (expand.Variable, error) {
	old := sh.vars[as.Name.Value]
	switch {
	case as.Index != nil:
		return expand.Variable{}, fmt.Errorf("%s: assigning an element of an array is not supported by the lab's shell", as.Name.Value)
	case as.Array != nil:
		var words []*syntax.Word
		for _, element := range as.Array.Elems {
			if element.Index != nil || element.Value == nil {
				return expand.Variable{}, fmt.Errorf("%s: indexes in an array are not supported by the lab's shell", as.Name.Value)
			}
			words = append(words, element.Value)
		}
		list, err := expand.Fields(sh.config, words...)
		if as.Append {
			list = append(slices.Clone(old.List), list...)
		}
		return expand.Variable{Set: true, Kind: expand.Indexed, List: list}, err
	case as.Value == nil:
		return text(""), nil
	}
	word, err := expand.Literal(sh.config, as.Value)
	if as.Append {
		word = old.String() + word
	}
	return text(word), err
}

// declare is export, local, readonly and declare.
func (sh *Shell) declare(clause *syntax.DeclClause) int {
	var exported, readOnly, status = false, false, 0
	local := clause.Variant.Value == "local" || (clause.Variant.Value != "export" && clause.Variant.Value != "readonly" && sh.calls > 0)
	switch clause.Variant.Value {
	case "export":
		exported = true
	case "readonly":
		readOnly = true
	case "local":
		if len(sh.locals) == 0 {
			return sh.fail(1, "local: can only be used in a function")
		}
	case "nameref":
		return sh.fail(2, "nameref is not supported by the lab's shell")
	}
	for _, as := range clause.Args {
		if as.Name == nil { // an option, or a word that expands to an assignment
			word, err := expand.Literal(sh.config, as.Value)
			if err != nil {
				return sh.fail(1, "%v", err)
			}
			switch word {
			case "-x":
				exported = true
				continue
			case "-r":
				readOnly = true
				continue
			case "-a", "-i", "-p", "--":
				continue
			}
			name, value, assigns := strings.Cut(word, "=")
			if !syntax.ValidName(name) {
				return sh.fail(1, "%s: `%s': not a valid identifier", clause.Variant.Value, word)
			}
			as = &syntax.Assign{Naked: !assigns, Name: &syntax.Lit{Value: name}, Value: quoted(value)}
		}
		name := as.Name.Value
		v, set := sh.vars[name], !as.Naked
		if set {
			var err error
			if v, err = sh.value(as); err != nil {
				return sh.fail(1, "%v", err)
			}
		}
		if local && len(sh.locals) > 0 {
			if frame := sh.locals[len(sh.locals)-1]; !has(frame, name) {
				frame[name] = sh.vars[name]
				if !set {
					v = expand.Variable{}
				}
				delete(sh.vars, name)
			}
		}
		if sh.vars[name].ReadOnly && set {
			status = sh.fail(1, "%s: readonly variable", name)
			continue
		}
		v.Exported = v.Exported || exported || sh.vars[name].Exported
		v.ReadOnly = v.ReadOnly || readOnly
		sh.vars[name] = v
	}
	return status
}

func has[V any](m map[string]V, key string) bool { _, found := m[key]; return found }

func quoted(value string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: value}}}
}

// env is the environment of a program that this shell starts.
func (sh *Shell) env() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(sh.vars)) {
		if v := sh.vars[name]; v.Exported && v.Kind == expand.String && v.IsSet() {
			list = append(list, name+"="+v.Str)
		}
	}
	return list
}
