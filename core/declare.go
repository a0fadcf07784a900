package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Declaration is what somebody wants to be there: a file's content, say. It says nothing
// of what it does not name.
type Declaration struct {
	By       Declarer      `json:"by"`
	Steps    []Step        `json:"steps,omitempty"`
	Profiles []Profile     `json:"profiles,omitempty"`
	Pools    []PoolProfile `json:"pools,omitempty"`
}

// PoolProfile is a pool's choice of profiles; the rest of its policy stays.
type PoolProfile struct {
	Name     string   `json:"name" yaml:"name"`
	Profile  string   `json:"profile,omitempty" yaml:"profile,omitempty"`
	Profiles []string `json:"profiles,omitempty" yaml:"profiles,omitempty"`
}

// ApplyOptions say how to apply a declaration.
type ApplyOptions struct {
	// DryRun tells what would change, and changes nothing.
	DryRun bool
	// TakeOver changes also what somebody else has declared.
	TakeOver bool
}

// Declared is what a declaration makes of one thing that it names.
type Declared struct {
	Kind   string         `json:"kind"` // step, profile or pool
	Name   string         `json:"name"`
	Change DeclaredChange `json:"change"`
	Fields []string       `json:"fields,omitempty"` // those that change, with both values where they are short
}

// DeclaredChange is what becomes of a thing.
type DeclaredChange string

const (
	Added     DeclaredChange = "added"
	Changed   DeclaredChange = "changed"
	Unchanged DeclaredChange = "unchanged"
)

// errDryRun undoes a transaction that was only to be looked at.
var errDryRun = errors.New("only to be looked at")

// Apply has the pool be as a declaration says: all of it, or nothing where it is refused.
// Applied again it changes nothing. It counts for deploys that begin afterwards.
func (e *Engine) Apply(ctx context.Context, d Declaration, o ApplyOptions) (changes []Declared, err error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		changes = nil
		for _, declare := range d.all() {
			change, err := declare(tx, o.TakeOver)
			if err != nil {
				return err
			}
			changes = append(changes, change)
		}
		if err := checkChoices(tx); err != nil {
			return err
		}
		if o.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// validate looks at a declaration by itself.
func (d Declaration) validate() error {
	if d.By == "" {
		return &Error{Op: "apply", Kind: Invalid, Err: errors.New("it is not said who declares it"), Hint: "name the file"}
	}
	named := map[string]bool{}
	once := func(kind, name string) error {
		if named[kind+" "+name] {
			return &Error{Op: "apply", Kind: Invalid, Err: fmt.Errorf("%s %s is declared twice", kind, name), Hint: "keep one of the two"}
		}
		named[kind+" "+name] = true
		return nil
	}
	for _, s := range d.Steps {
		if err := errors.Join(s.Validate(), once(kindStep, s.Name)); err != nil {
			return err
		}
	}
	for _, p := range d.Profiles {
		if err := errors.Join(p.Validate(), once(kindProfile, p.Name)); err != nil {
			return err
		}
	}
	for _, p := range d.Pools {
		if err := errors.Join(Pool{Name: p.Name}.Validate(), once(kindPool, p.Name)); err != nil {
			return err
		}
	}
	return nil
}

const (
	kindStep    = "step"
	kindProfile = "profile"
	kindPool    = "pool"
)

// all is what a declaration names, each as what declares it.
func (d Declaration) all() []func(tx Tx, takeOver bool) (Declared, error) {
	var all []func(tx Tx, takeOver bool) (Declared, error)
	for _, s := range d.Steps {
		s.DeclaredBy = d.By
		all = append(all, func(tx Tx, takeOver bool) (Declared, error) {
			there, err := tx.Step(s.Name)
			return declare(tx, takeOver, Declared{Kind: kindStep, Name: s.Name}, err, there, s, there.DeclaredBy, d.By, Tx.PutStep)
		})
	}
	for _, p := range d.Profiles {
		p.DeclaredBy = d.By
		all = append(all, func(tx Tx, takeOver bool) (Declared, error) {
			there, err := tx.Profile(p.Name)
			return declare(tx, takeOver, Declared{Kind: kindProfile, Name: p.Name}, err, there, p, there.DeclaredBy, d.By, Tx.PutProfile)
		})
	}
	for _, p := range d.Pools {
		all = append(all, func(tx Tx, takeOver bool) (Declared, error) {
			there, err := tx.Pool(p.Name)
			if p.Name == DefaultPool && Is(err, NotFound) {
				there, err = Pool{Name: DefaultPool}, nil
			}
			want := there
			want.Name, want.Profile, want.Profiles = p.Name, p.Profile, p.Profiles
			return declare(tx, takeOver, Declared{Kind: kindPool, Name: p.Name}, err, there, want, "", "", Tx.PutPool)
		})
	}
	return all
}

// declare puts one thing where it differs from what is there. missed is the error of
// looking for it.
func declare[T any](tx Tx, takeOver bool, d Declared, missed error, there, want T, by, now Declarer, put func(Tx, T) error) (Declared, error) {
	d.Change = Unchanged
	switch {
	case Is(missed, NotFound):
		d.Change = Added
	case missed != nil:
		return d, missed
	default:
		if d.Fields = fieldDifferences(there, want); len(d.Fields) > 0 {
			d.Change = Changed
		}
	}
	if d.Change == Changed {
		if err := mayDeclare(d.Kind, d.Name, by, now, takeOver); err != nil {
			return d, err
		}
	}
	if d.Change == Unchanged {
		return d, nil
	}
	return d, put(tx, want)
}

// mayDeclare refuses to change what somebody else has declared.
func mayDeclare(kind, name string, by, now Declarer, takeOver bool) error {
	if by == "" || by == now || takeOver {
		return nil
	}
	return &Error{Op: "change " + kind + " " + name, Kind: Exists, Err: fmt.Errorf("it is declared by %s", by), Hint: "change it there, or take it over with --take-over"}
}

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
		case len(b)+len(a) > 60 || strings.Contains(path, "env.") || strings.Contains(path, "headers."):
			all = append(all, path)
		default:
			all = append(all, fmt.Sprintf("%s: %s → %s", path, orNone(b), orNone(a)))
		}
	}
	return all
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// flat is a thing as its fields, by their paths in JSON.
func flat(thing any) map[string]string {
	text, _ := json.Marshal(thing) // what is stored can be written
	var tree any
	_ = json.Unmarshal(text, &tree)
	fields := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok && len(m) > 0 {
			for key, value := range m {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
			return
		}
		written, _ := json.Marshal(v)
		fields[path] = string(written)
	}
	walk("", tree)
	return fields
}

// checkChoices looks whether all profiles and pools name what there is, and can be put
// in order.
func checkChoices(tx Tx) error {
	steps, err := collect(tx.Steps())
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, s := range steps {
		known[s.Name] = true
	}
	for _, s := range steps {
		for _, before := range s.After {
			if !known[before] {
				return &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: fmt.Errorf("after: there is no step %q", before), Hint: thereAre(before, steps, func(s Step) string { return s.Name }, "metalpool step list")}
			}
		}
	}
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return err
	}
	for _, p := range profiles {
		steps, err := profileSteps(tx, p.Name)
		if err != nil {
			return err
		}
		if _, err := combine(fragmentsOf(steps, nil), nil); err != nil {
			return inProfile(err, p.Name)
		}
	}
	pools, err := collect(tx.Pools())
	if err != nil {
		return err
	}
	for _, p := range pools {
		for _, name := range p.choices() {
			if _, err := findProfile(tx, name); err != nil {
				return &Error{Op: "set pool " + p.Name, Kind: Invalid, Err: err}
			}
		}
	}
	return nil
}

// Steps lists what operators have declared.
func (e *Engine) Steps(ctx context.Context) (all []Step, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		all, err = collect(tx.Steps())
		return err
	})
	return all, err
}

// Step reads one step.
func (e *Engine) Step(ctx context.Context, name string) (s Step, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		s, err = findStep(tx, name)
		return err
	})
	return s, err
}

// Profiles lists the choices of steps that there are.
func (e *Engine) Profiles(ctx context.Context) (all []Profile, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		all, err = collect(tx.Profiles())
		return err
	})
	return all, err
}

// Profile reads one profile.
func (e *Engine) Profile(ctx context.Context, name string) (p Profile, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		p, err = findProfile(tx, name)
		return err
	})
	return p, err
}

// RemoveStep removes a step that no profile has. by is who removes it.
func (e *Engine) RemoveStep(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		s, err := findStep(tx, name)
		if err != nil {
			return err
		}
		if err := mayDeclare(kindStep, name, s.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		profiles, err := collect(tx.Profiles())
		if err != nil {
			return err
		}
		for _, p := range profiles {
			if slices.Contains(p.Steps, name) {
				return &Error{Op: "remove step " + name, Kind: Busy, Err: fmt.Errorf("profile %s has it", p.Name), Hint: "take it out there first"}
			}
		}
		if err := tx.DeleteStep(name); err != nil {
			return err
		}
		return checkChoices(tx)
	})
}

// RemoveProfile removes a profile that no pool has. Deploys that have begun with it go on
// with its steps.
func (e *Engine) RemoveProfile(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		p, err := findProfile(tx, name)
		if err != nil {
			return err
		}
		if err := mayDeclare(kindProfile, name, p.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		pools, err := collect(tx.Pools())
		if err != nil {
			return err
		}
		for _, pool := range pools {
			if slices.Contains(pool.choices(), name) {
				return &Error{Op: "remove profile " + name, Kind: Busy, Err: fmt.Errorf("pool %s has it", pool.Name), Hint: "give that another one first"}
			}
		}
		return tx.DeleteProfile(name)
	})
}
