package core

import (
	"cmp"
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
	// does not any more.
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

// Remark is said of a part of what is declared.
type Remark struct {
	// Path leads to the part, by the words of a rack file: ["script", "env", "RACK"]. Items
	// of lists are counted from 0. Empty is the whole.
	Path []string `json:"path,omitempty"`
	Text string   `json:"text"`
}

// warn adds a warning of the part that the path leads to.
func (d *Declared) warn(path []string, format string, args ...any) {
	d.Warnings = append(d.Warnings, Remark{path, fmt.Sprintf(format, args...)})
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
func (e *Engine) Apply(ctx context.Context, d Declaration, o ApplyOptions) ([]Declared, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	if err := e.checkDeclared(ctx, d.Steps); err != nil {
		return nil, err
	}
	a := &applied{engine: e, by: d.By, options: o, afar: IsFromAfar(ctx), token: askedWith(ctx)}
	if len(d.Images) > 0 && !o.DryRun {
		// What is refused is refused before images are read, which may take long.
		if _, err := e.applyOnce(ctx, d, a.looking()); err != nil {
			return nil, err
		}
		if err := a.examine(ctx); err != nil {
			return nil, err
		}
	}
	changes, err := e.applyOnce(ctx, d, a)
	if err == nil {
		e.warnOfLacks(ctx, d.Steps, changes)
	}
	return changes, err
}

// applyOnce is Apply in one transaction.
func (e *Engine) applyOnce(ctx context.Context, d Declaration, a *applied) (changes []Declared, err error) {
	err = e.store.Update(ctx, func(tx Tx) error {
		if changes, err = a.all(tx, d); err != nil {
			return err
		}
		if err := checkChoices(tx); err != nil {
			return err
		}
		if a.options.DryRun {
			return errDryRun
		}
		if a.options.TakeOver {
			return nil
		}
		return declaredByOthers(changes, d.By)
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err == nil && a.refuses {
		err = declaredByOthers(changes, d.By)
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
	// unread are images that are to be examined, and read those that were. They are
	// shared with the look that comes before.
	unread *[]Image
	read   map[string]Image
}

// checkDeclared asks those who do the steps.
func (e *Engine) checkDeclared(ctx context.Context, steps []Step) error {
	for _, s := range steps {
		checker, finds := e.steps[s.Kind()].(StepChecker)
		if !finds {
			continue
		}
		if err := checker.CheckStep(ctx, s.OrDefaults()); err != nil {
			told := &Error{Op: "declare step " + s.Name, Kind: Invalid, Err: fmt.Errorf("%s: %s", s.Kind(), cause(err))}
			if inner, ok := outermost(err); ok {
				told.Kind, told.Hint = inner.Kind, inner.Hint
			}
			return told
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

// all puts what a declaration names, and what goes with it.
func (a *applied) all(tx Tx, d Declaration) (changes []Declared, err error) {
	if a.unread != nil {
		*a.unread = nil
	}
	add := func(change Declared, err error) error {
		changes = append(changes, change)
		return err
	}
	for _, i := range d.Images {
		if err := add(a.image(tx, i)); err != nil {
			return nil, err
		}
	}
	for _, s := range d.Steps {
		if err := add(a.step(tx, s)); err != nil {
			return nil, err
		}
	}
	for _, p := range d.Profiles {
		if err := add(a.profile(tx, p)); err != nil {
			return nil, err
		}
	}
	for _, p := range d.Pools {
		if err := add(a.pool(tx, p)); err != nil {
			return nil, err
		}
	}
	nodes, err := a.nodes(tx, d.Nodes)
	if err != nil {
		return nil, err
	}
	changes = append(changes, nodes...)
	if !a.options.Prune {
		return changes, nil
	}
	gone, err := a.prune(tx, d)
	return append(changes, gone...), err
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
	if len(fields) == 0 && (from == a.by || others && !a.options.TakeOver) {
		d.Change = Unchanged // and it stays whose it is
		return d
	}
	if from != a.by {
		fields = append([]string{fmt.Sprintf("declared_by: %s → %s", cmp.Or(from, "nobody"), a.by)}, fields...)
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
		if _, err := imageIn(tx, want.DefaultImage); err != nil {
			return d, withOp("set pool "+said.Name, err)
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

// prune removes what the declarer has declared before, and does not any more.
func (a *applied) prune(tx Tx, d Declaration) (gone []Declared, err error) {
	profiles, err := collect(tx.Profiles())
	if err != nil {
		return nil, err
	}
	for _, p := range profiles {
		if p.DeclaredBy != a.by || slices.ContainsFunc(d.Profiles, func(said Profile) bool { return said.Name == p.Name }) {
			continue
		}
		gone = append(gone, Declared{Kind: kindProfile, Name: p.Name, Change: Removed})
		if err := removeProfile(tx, p.Name); err != nil {
			return nil, err
		}
	}
	steps, err := collect(tx.Steps())
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if s.DeclaredBy != a.by || slices.ContainsFunc(d.Steps, func(said Step) bool { return said.Name == s.Name }) {
			continue
		}
		gone = append(gone, Declared{Kind: kindStep, Name: s.Name, Change: Removed})
		if err := removeStep(tx, s.Name); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// withOp says of an error what was asked for.
func withOp(op string, err error) error {
	return &Error{Op: op, Kind: KindOf(err), Err: err}
}
