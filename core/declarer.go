package core

import (
	"fmt"
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
	return &Error{Op: "change " + kind + " " + name, Kind: Exists, Err: fmt.Errorf("it is declared by %s", by), Hint: "change it there, or take it over with --take-over"}
}

// mayRemove refuses to remove what somebody else has declared.
func mayRemove(kind, name string, by, now Declarer, takeOver bool) error {
	if takeOver {
		return nil
	}
	return mayDeclare(kind, name, by, now)
}

// declaredByOthers refuses to change what others have declared, naming all of it.
func declaredByOthers(of []Declared) error {
	var theirs []string
	for _, d := range of {
		if d.From != "" {
			theirs = append(theirs, fmt.Sprintf("%s %s is declared by %s", d.Kind, d.Name, d.From))
		}
	}
	if len(theirs) == 0 {
		return nil
	}
	it, them := "it", "them"
	if len(theirs) > 1 {
		it = them
	}
	return &Error{Op: "apply", Kind: Exists, Err: fmt.Errorf("%s", strings.Join(theirs, ", ")), Hint: "change " + it + " there, or take " + it + " over with --take-over"}
}
