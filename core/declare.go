package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// ApplyOptions say how to apply a declaration.
type ApplyOptions struct {
	// DryRun tells what would change, and changes nothing. It refuses nothing that
	// somebody else has declared, but tells of it.
	DryRun bool
	// TakeOver changes also what somebody else has declared.
	TakeOver bool
	// Prune removes steps and profiles that the same declarer has declared before, and
	// does not any more. What another file of its name has declared is refused.
	Prune bool
	// Report is told how far images are read; nil is allowed.
	Report Reporter
}

// Declared is what a declaration makes of one thing that it names.
type Declared struct {
	Kind   string         `json:"kind"` // image, step, profile, pool or node
	Name   string         `json:"name"`
	Change DeclaredChange `json:"change"`
	Fields []string       `json:"fields,omitempty"` // those that change, with both values where they are short
	// From is who has declared it so far, where that is somebody else: it changes only
	// where it is taken over.
	From Declarer `json:"from,omitempty"`
	// Warnings are what is declared all the same, and may not be what was meant.
	Warnings []Remark `json:"warnings,omitempty"`
}

// warn adds a warning of the part that the path leads to.
func (d *Declared) warn(path []string, format string, args ...any) {
	d.Warnings = append(d.Warnings, Remark{Path: path, Text: fmt.Sprintf(format, args...)})
}

// DeclaredChange is what becomes of a thing.
type DeclaredChange string

// What becomes of a thing that a declaration names, or has named.
const (
	Added     DeclaredChange = "added"
	Changed   DeclaredChange = "changed"
	Removed   DeclaredChange = "removed"
	Unchanged DeclaredChange = "unchanged"
	// ToEnroll is a node that is not there: Apply leaves it to Enroll.
	ToEnroll DeclaredChange = "to enroll"
)

// errDryRun undoes a transaction that was only to be looked at.
var errDryRun = errors.New("only to be looked at")

// Apply has the pool be as a declaration says: all of it, or nothing where it is refused.
// Applied again it changes nothing. It counts for deploys that begin afterwards.
//
// An error has all that is wrong, as far as that is known at once, in its Faults.
func (e *Engine) Apply(ctx context.Context, d Declaration, o ApplyOptions) ([]Declared, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	a := &applied{engine: e, options: o, afar: IsFromAfar(ctx), token: askedWith(ctx)}
	if err := a.checkSteps(ctx, d.Each()); err != nil {
		return nil, err
	}
	if !o.DryRun && slices.ContainsFunc(d.Each(), func(d Declaration) bool { return len(d.Images) > 0 }) {
		// What is refused is refused before images are read, which may take long.
		if _, err := e.applyOnce(ctx, d, a.looking()); err != nil {
			return nil, err
		}
		if err := a.findImages(); err != nil {
			return nil, err
		}
		if err := a.examine(ctx); err != nil {
			return nil, err
		}
	}
	if o.DryRun {
		a.unread = new([]Image)
	}
	changes, err := e.applyOnce(ctx, d, a)
	if err == nil && o.DryRun {
		err = a.findImages()
	}
	if err != nil {
		return nil, err
	}
	for _, d := range d.Each() {
		e.warnOfLacks(ctx, d.Steps, changes)
	}
	return changes, nil
}

// applyOnce is Apply in one transaction.
func (e *Engine) applyOnce(ctx context.Context, d Declaration, a *applied) (changes []Declared, err error) {
	unfit := a.faults
	err = e.store.Update(ctx, func(tx Tx) error {
		a.faults = unfit.clone() // it may be done anew
		if changes, err = a.all(tx, d.Each()); err != nil {
			return err
		}
		if err := checkChoices(tx, &a.faults); err != nil {
			return err
		}
		if err := a.faults.err(); err != nil {
			return err
		}
		if err := warnOfLabels(tx, d.Each(), changes); err != nil {
			return err
		}
		if err := warnOfUnused(tx, changes); err != nil {
			return err
		}
		if a.options.DryRun {
			return errDryRun
		}
		if a.options.TakeOver {
			return nil
		}
		return DeclaredByOthers(changes, d)
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err == nil && a.refuses {
		err = DeclaredByOthers(changes, d)
	}
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// applied is a declaration on its way into the store.
type applied struct {
	engine  *Engine
	by      Declarer
	options ApplyOptions
	afar    bool  // somebody asks who is not on this host
	token   Token // that he was let in by
	refuses bool  // what others have declared, though it is a dry run
	// unread are images that are to be examined, noted by a dry run, and read those that
	// were. They are shared with the look that comes before.
	unread *[]Image
	read   map[string]Image
	faults faults
}

// checkSteps asks those who do the steps.
func (a *applied) checkSteps(ctx context.Context, all []Declaration) error {
	for _, d := range all {
		for _, s := range d.Steps {
			checker, finds := a.engine.steps[s.Kind()].(StepChecker)
			if !finds {
				continue
			}
			if err := checker.CheckStep(ctx, s.OrDefaults()); err != nil {
				told := &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: inPart(errors.New(cause(err)), s.field())}
				if inner, ok := outermost(err); ok {
					told.Kind, told.Hint = inner.Kind, inner.Hint
				}
				if err := a.faults.add(kindStep, s.Name, told); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// looking is a dry run that notes which images are to be examined.
func (a *applied) looking() *applied {
	a.unread, a.read = new([]Image), map[string]Image{}
	look := *a
	look.options.DryRun, look.refuses = true, !a.options.TakeOver
	return &look
}

// all puts what declarations name, and what goes with it. What is wrong with one thing is
// kept in faults, and the others are looked at all the same.
func (a *applied) all(tx Tx, said []Declaration) (changes []Declared, err error) {
	if a.unread != nil {
		*a.unread = nil
	}
	for _, put := range []func(Tx, Declaration) ([]Declared, error){
		func(tx Tx, d Declaration) ([]Declared, error) { return each(tx, a, kindImage, d.Images, a.image) },
		func(tx Tx, d Declaration) ([]Declared, error) { return each(tx, a, kindStep, d.Steps, a.step) },
		func(tx Tx, d Declaration) ([]Declared, error) { return each(tx, a, kindProfile, d.Profiles, a.profile) },
		func(tx Tx, d Declaration) ([]Declared, error) { return each(tx, a, kindPool, d.Pools, a.pool) },
		func(tx Tx, d Declaration) ([]Declared, error) { return a.nodes(tx, d.Nodes) },
	} {
		for _, d := range said { // what one names another may declare
			a.by = d.By
			some, err := put(tx, d)
			if err != nil {
				return nil, err
			}
			changes = append(changes, some...)
		}
	}
	if !a.options.Prune {
		return changes, nil
	}
	gone, err := a.prune(tx, said)
	return append(changes, gone...), err
}

// each puts the things of one kind.
func each[T declarable](tx Tx, a *applied, of string, said []T, put func(Tx, T) (Declared, error)) (changes []Declared, err error) {
	for _, one := range said {
		change, err := put(tx, one)
		if err != nil {
			if err := a.faults.add(of, one.label(), err); err != nil {
				return nil, err
			}
			continue
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// declare puts one thing where it differs from what is there. missed is the error of
// looking for it, and from who has declared it so far; there and want do not say that.
func (a *applied) declare(d Declared, missed error, there, want any, from Declarer, put func() error) (Declared, error) {
	switch {
	case Is(missed, NotFound):
		d.Change = Added
	case missed != nil:
		return d, missed
	default:
		d = a.compared(d, fieldDifferences(there, want), from)
	}
	if d.Change == Unchanged {
		return d, nil
	}
	return d, put()
}

// compared tells what becomes of a thing that is there, of which these fields change.
func (a *applied) compared(d Declared, fields []string, from Declarer) Declared {
	others := from.others(a.by)
	known := from.is(a.by) && (from.placed() || !a.by.placed())
	if len(fields) == 0 && (known || others && !a.options.TakeOver) {
		d.Change = Unchanged // and it stays whose it is
		return d
	}
	if from != a.by {
		fields = append([]string{from.change(a.by)}, fields...)
	}
	if others {
		d.From = from
	}
	d.Fields, d.Change = fields, Changed
	return d
}

// step has a step be as is said, and nothing else.
func (a *applied) step(tx Tx, said Step) (Declared, error) {
	there, err := tx.Step(said.Name)
	if a.afar && (err == nil || Is(err, NotFound)) {
		if err := mayDeclareStep(said, there, err == nil); err != nil {
			return Declared{}, err
		}
	}
	from := there.DeclaredBy
	there.DeclaredBy, said.DeclaredBy = "", ""
	return a.declare(Declared{Kind: kindStep, Name: said.Name}, err, there, said, from, func() error {
		said.DeclaredBy = a.by
		return tx.PutStep(said)
	})
}

// profile has a profile be as is said, and nothing else.
func (a *applied) profile(tx Tx, said Profile) (Declared, error) {
	there, err := tx.Profile(said.Name)
	from := there.DeclaredBy
	there.DeclaredBy, said.DeclaredBy = "", ""
	return a.declare(Declared{Kind: kindProfile, Name: said.Name}, err, there, said, from, func() error {
		said.DeclaredBy = a.by
		return tx.PutProfile(said)
	})
}

// pool has a pool be as is said of it.
func (a *applied) pool(tx Tx, said PoolDeclaration) (Declared, error) {
	d := Declared{Kind: kindPool, Name: said.Name}
	there, missed := tx.Pool(said.Name)
	if said.Name == DefaultPool && Is(missed, NotFound) {
		there, missed = Pool{Name: DefaultPool}, nil
	}
	if missed != nil && !Is(missed, NotFound) {
		return d, missed
	}
	want := there
	said.apply(&want)
	want.DeclaredBy = a.by
	if err := want.Validate(); err != nil {
		return d, err
	}
	if err := checkGiven(tx, a.token, there, want); err != nil {
		return d, err
	}
	if want.DefaultImage != there.DefaultImage && want.DefaultImage != "" {
		if _, err := imageIn(tx, want.DefaultImage); err != nil && !a.faults.has(kindImage, want.DefaultImage) {
			return d, inField("set pool "+said.Name, want.DefaultImage, err, "default_image")
		}
	}
	if missed != nil {
		if near, err := poolLike(tx, said.Name); err != nil {
			return d, err
		} else if near != "" {
			d.warn([]string{"name"}, "this is a new pool, without nodes; did you mean %s?", near)
		}
	}
	return a.declare(d, missed, there.Policy(), want.Policy(), there.DeclaredBy, func() error { return tx.PutPool(want) })
}

// poolLike is a pool that is there and whose name is one slip away from that of one that
// is not; "" is none. Names that differ in a number are meant to.
func poolLike(tx Tx, name string) (string, error) {
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return -1
			}
			return r
		}, s)
	}
	pools, err := collect(tx.Pools())
	if err != nil {
		return "", err
	}
	for _, p := range append([]Pool{{Name: DefaultPool}}, pools...) {
		if alike(name, p.Name) && letters(name) != letters(p.Name) {
			return p.Name, nil
		}
	}
	return "", nil
}

// prune removes what the declarers have declared before, and nobody does any more.
func (a *applied) prune(tx Tx, said []Declaration) (gone []Declared, err error) {
	theirs := func(by Declarer) bool {
		return slices.ContainsFunc(said, func(d Declaration) bool { return by.is(d.By) })
	}
	namesakes := func(by Declarer) bool {
		return slices.ContainsFunc(said, func(d Declaration) bool { return by.Name() == d.By.Name() })
	}
	named := map[string]bool{}
	for _, d := range said {
		for _, p := range d.Profiles {
			named[kindProfile+" "+p.Name] = true
		}
		for _, s := range d.Steps {
			named[kindStep+" "+s.Name] = true
		}
	}
	remove := func(of, name string, by Declarer, remove func(Tx, string) error) error {
		d := Declared{Kind: of, Name: name, Change: Removed}
		switch {
		case named[of+" "+name] || !namesakes(by):
			return nil
		case !theirs(by):
			d.From = by
		}
		gone = append(gone, d)
		if d.From != "" && !a.options.TakeOver {
			return nil // all of it is refused, and that is why
		}
		return a.faults.add(of, name, remove(tx, name))
	}
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return nil, err
	}
	for _, p := range profiles {
		if err := remove(kindProfile, p.Name, p.DeclaredBy, removeProfile); err != nil {
			return nil, err
		}
	}
	steps, err := collect(tx.Steps())
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if slices.ContainsFunc(profiles, func(p Profile) bool { return slices.Contains(p.Steps, s.Name) && a.faults.has(kindProfile, p.Name) }) {
			continue // that one stays, and is why
		}
		if err := remove(kindStep, s.Name, s.DeclaredBy, removeStep); err != nil {
			return nil, err
		}
	}
	return gone, nil
}
