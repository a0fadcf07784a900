package core

import (
	"errors"
	"fmt"
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

// DeclaredIn is the Declarer of what a file of that name says.
func DeclaredIn(file string) Declarer { return Declarer("file:" + file) }

// others reports whether something is declared by somebody else than now.
func (by Declarer) others(now Declarer) bool { return by != "" && by != now }

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
	return declaredByOthers([]Declared{{Kind: kind, Name: name, From: by}}, now)
}

// mayRemove refuses to remove what somebody else has declared.
func mayRemove(kind, name string, by, now Declarer, takeOver bool) error {
	if takeOver {
		return nil
	}
	return mayDeclare(kind, name, by, now)
}

// declaredByOthers refuses to change what others have declared, naming all of it.
func declaredByOthers(changes []Declared, now Declarer) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(d Declared) bool { return d.From == "" })
	if len(changes) == 0 {
		return nil
	}
	hint, them := "take it over with --take-over", "it"
	if len(changes) > 1 {
		hint, them = "take them over with --take-over", "them"
	}
	if now == DeclaredInTerraform {
		hint = "have it handed over by a file that names it: metalpool apply -f FILE --take-over --as terraform"
	}
	if slices.ContainsFunc(changes, func(d Declared) bool { return d.From != DeclaredOnCommandLine }) {
		hint = "change " + them + " there, or " + hint
	}
	if len(changes) == 1 {
		d := changes[0]
		return &Error{Op: "change " + d.Kind + " " + d.Name, Kind: Exists, Err: fmt.Errorf("it is declared by %s", d.From), Hint: hint}
	}
	var theirs []string
	for _, d := range changes {
		theirs = append(theirs, fmt.Sprintf("%s %s is declared by %s", d.Kind, d.Name, d.From))
	}
	return &Error{Op: "apply", Kind: Exists, Err: errors.New(strings.Join(theirs, ", ")), Hint: hint}
}
