package core

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Declarer is who declared something; empty where that was not kept. Nobody else changes
// it, unless he is told to take it over.
type Declarer string

const (
	// DeclaredOnCommandLine is the Declarer of what a command sets by itself.
	DeclaredOnCommandLine Declarer = "command line"
	// DeclaredInTerraform is the Declarer of Terraform's resources.
	DeclaredInTerraform Declarer = "terraform"
)

const inFile = "file:"

// mostDeclarer is how many bytes a declarer has at most: it is kept with each thing that he
// has declared, and told with each change of it. The API's schema says the same.
const mostDeclarer = 1024

// DeclaredIn is the Declarer of what a file of that name says, wherever it is.
func DeclaredIn(name string) Declarer { return Declarer(inFile + name) }

// DeclaredAt is the Declarer of what the file at an absolute path says, with slashes:
// another file of its name is another declarer.
func DeclaredAt(file string) Declarer { return Declarer(inFile + path.Clean("/"+file)) }

// Name is the declarer without the folder of its file.
func (by Declarer) Name() Declarer {
	if by.placed() {
		return DeclaredIn(path.Base(string(by)))
	}
	return by
}

// placed reports whether it is kept where the file is.
func (by Declarer) placed() bool { return strings.HasPrefix(string(by), inFile+"/") }

// is reports whether both are one declarer. Where only one of them says where its file
// is, the other goes by name alone.
func (by Declarer) is(other Declarer) bool {
	return by == other || by.Name() == other.Name() && (!by.placed() || !other.placed())
}

// change tells that another declares a thing from now on.
func (by Declarer) change(now Declarer) string {
	before, after := by.Name(), now.Name()
	if before == after {
		before, after = by, now
	}
	return fmt.Sprintf("declared_by: %s → %s", cmp.Or(before, "nobody"), after)
}

// others reports whether something is declared by somebody else than now.
func (by Declarer) others(now Declarer) bool { return by != "" && !by.is(now) }

// declarer is who has declared something once now has had his say. What he would change
// of somebody else's is refused; what is there as he says stays whose it is.
func declarer(kind, name string, by, now Declarer, same bool) (Declarer, error) {
	if same && by != "" {
		return by, nil
	}
	return now, mayDeclare(kind, name, by, now)
}

func mayDeclare(kind, name string, by, now Declarer) error {
	if !by.others(now) {
		return nil
	}
	return DeclaredByOthers([]Declared{{Kind: kind, Name: name, From: by}}, Declaration{By: now})
}

// mayRemove refuses to remove what somebody else has declared.
func mayRemove(kind, name string, by, now Declarer, takeOver bool) error {
	if takeOver {
		return nil
	}
	return mayDeclare(kind, name, by, now)
}

// DeclaredByOthers refuses to change what others have declared, naming all of it; nil is
// that there is nothing of theirs among the changes.
func DeclaredByOthers(changes []Declared, said Declaration) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(d Declared) bool { return d.From == "" })
	if len(changes) == 0 {
		return nil
	}
	hint, them := "take it over with --take-over", "it"
	if len(changes) > 1 {
		hint, them = "take them over with --take-over", "them"
	}
	switch {
	case len(namesakes(changes, said)) > 0:
		hint = "if the file has moved, " + hint + "; if these are two files, tell them apart by a line 'name: …' at the top of one, or by --as file:NAME"
	case said.By == DeclaredInTerraform:
		hint = "have it handed over by a file that names it: metalpool apply -f FILE --take-over --as terraform"
		fallthrough
	default:
		if slices.ContainsFunc(changes, func(d Declared) bool { return d.From != DeclaredOnCommandLine }) {
			hint = "change " + them + " there, or " + hint
		}
	}
	op, whose := "apply", whoseItIs(changes, said)
	if len(changes) == 1 {
		thing := changes[0].Kind + " " + changes[0].Name
		op, whose = "change "+thing, "it"+strings.TrimPrefix(whose, thing)
	}
	return &Error{Op: op, Kind: Exists, Err: errors.New(whose), Hint: hint}
}

// whoseItIs tells who has declared what is to change.
func whoseItIs(changes []Declared, said Declaration) string {
	var theirs []string
	for i, d := range changes {
		if i == maxFaults { // a file that has moved has declared a whole rack
			theirs = append(theirs, fmt.Sprintf("and %d more are declared by others", len(changes)-maxFaults))
			break
		}
		theirs = append(theirs, fmt.Sprintf("%s %s is declared by %s", d.Kind, d.Name, d.From))
	}
	text := strings.Join(theirs, ", ")
	if here := namesakes(changes, said); len(here) > 0 {
		text += ", and this is " + strings.Join(here, ", ")
	}
	return text
}

// namesakes are the files of which another one of the same name has declared some of it.
func namesakes(changes []Declared, said Declaration) (here []string) {
	for _, d := range said.Each() {
		if slices.ContainsFunc(changes, func(c Declared) bool { return c.From.Name() == d.By.Name() && c.From.others(d.By) }) {
			here = append(here, string(d.By))
		}
	}
	return here
}
