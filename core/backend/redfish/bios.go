package redfish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

var _ core.BIOSSetter = (*conversation)(nil)

// BIOS implements core.BIOSSetter.
func (b *conversation) BIOS(ctx context.Context) ([]core.BIOSAttribute, error) {
	return facet(ctx, b, "read BIOS", func(t talk) ([]core.BIOSAttribute, error) {
		f, err := t.bios()
		if err != nil {
			return nil, err
		}
		known, err := t.readRegistry(f.registry)
		return f.list(known), err
	})
}

// CompareBIOS implements core.BIOSSetter.
func (b *conversation) CompareBIOS(ctx context.Context, want core.BIOSAttributes) ([]core.Difference, error) {
	return facet(ctx, b, "compare BIOS", func(t talk) ([]core.Difference, error) {
		f, err := t.bios()
		if err != nil {
			return nil, err
		}
		wanted, err := t.accept(f, want)
		return f.differences(wanted), err
	})
}

// SetBIOS implements core.BIOSSetter.
func (b *conversation) SetBIOS(ctx context.Context, want core.BIOSAttributes) (core.Change, error) {
	return facet(ctx, b, "set BIOS", func(t talk) (core.Change, error) { return t.setBIOS(want) })
}

// VerifyBIOS implements core.BIOSSetter.
func (b *conversation) VerifyBIOS(ctx context.Context, want core.BIOSAttributes) error {
	return b.verb(ctx, "verify BIOS", func(t talk) error {
		f, err := t.bios()
		if err != nil {
			return err
		}
		wanted, err := t.accept(f, want)
		if err != nil {
			return err
		}
		return t.verify(func() (progress, error) {
			f, err := t.bios()
			if err != nil {
				return progress{}, err
			}
			jobs, err := t.queue(f)
			if err != nil {
				return progress{}, err
			}
			p := progress{differs: f.differences(wanted), told: jobs.lastFailure()}
			switch job, open := jobs.open(); {
			case open: // new values may show before it is done with them
				p.waits = job.String() + ", for " + few(sortedNames(want))
			case f.waits(wanted):
				p.waits = "changes that wait for a start"
			}
			return p, nil
		})
	})
}

// few are names for people: the first of many.
func few(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// facet is verb for those that return something.
func facet[T any](ctx context.Context, b *conversation, op string, do func(talk) (T, error)) (T, error) {
	var result T
	err := b.verb(ctx, op, func(t talk) (err error) {
		result, err = do(t)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

// bios is what is read of the firmware's attributes, and where they are written.
type bios struct {
	biosState
	link     string // where changes are written
	blind    bool   // what waits is not shown anywhere: it is written again by each call
	timed    bool   // changes are told when to apply
	jobs     string // of a BMC that makes changes by jobs alone
	registry string
}

type biosResource struct {
	ID         string              `json:"@odata.id"`
	Attributes core.BIOSAttributes `json:"Attributes"`
	Registry   text                `json:"AttributeRegistry"`
	Settings   lenient[struct {
		Object schemas.Link `json:"SettingsObject"`
		Times  []string     `json:"SupportedApplyTimes"`
	}] `json:"@Redfish.Settings"`
	Oem lenient[struct {
		Dell struct{ Jobs schemas.Link }
	}]
}

func (t talk) bios() (bios, error) {
	var s struct{ Bios schemas.Link }
	if _, err := t.get(t.links[linkSystem], &s); err != nil {
		return bios{}, err
	}
	if s.Bios == "" {
		return bios{}, &noFacetError{"BIOS attributes"}
	}
	var r biosResource
	if _, err := t.get(string(s.Bios), &r); err != nil {
		return bios{}, err
	}
	if len(r.Attributes) == 0 {
		return bios{}, &noFacetError{"BIOS attributes: it lists none"}
	}
	f := bios{link: string(s.Bios), blind: r.Settings.is.Object == "", registry: string(r.Registry), timed: slices.Contains(r.Settings.is.Times, "OnReset")}
	var settings biosResource
	if object := string(r.Settings.is.Object); object != "" {
		f.link = object
		if _, err := t.get(object, &settings); err != nil {
			return bios{}, err
		}
		f.jobs = string(settings.Oem.is.Dell.Jobs)
	}
	f.biosState = compared(r.Attributes, settings.Attributes)
	return f, nil
}

// accept makes of what is wanted values of the firmware's types, and says all that is
// wrong with it at once. What is so already, or from the next start on, was taken before;
// only of the rest the registry, which is big, is asked.
func (t talk) accept(f bios, want core.BIOSAttributes) (attributes, error) {
	wanted := attributes{}
	wrong := map[string]string{}
	for _, name := range sortedNames(want) {
		v, err := likeness(want[name], f.force[name])
		switch {
		case isSecret.MatchString(name):
			wrong[name] = name + " is a password, which cannot be read back"
		case err != nil:
			wrong[name] = name + " " + err.Error()
		}
		wanted[name] = v
	}
	if need := f.needed(wanted); len(need) > 0 {
		known, err := t.readRegistry(f.registry)
		if err != nil {
			return nil, err
		}
		for _, name := range sortedNames(need) {
			accepted, why := known.accept(f, name, want[name], need[name])
			wanted[name] = accepted
			if why != "" && wrong[name] == "" {
				wrong[name] = why
			}
		}
	}
	if len(wrong) > 0 {
		var all []string
		for _, name := range sortedNames(wrong) {
			all = append(all, wrong[name])
		}
		return nil, &wrongError{what: strings.Join(all, "; "), list: "bios"}
	}
	return wanted, nil
}

// accept is a value of an attribute that is to be written, or why it is not to be: as far
// as the registry tells.
func (r registry) accept(f bios, name string, asked, v any) (any, string) {
	a, told := r.named(name)
	if _, shown := f.force[name]; !shown {
		if !told {
			text := "there is no attribute " + show(name)
			if meant := r.meant(name, sortedNames(f.force)); meant != "" {
				text += " (is " + meant + " meant?)"
			}
			return v, text
		}
		// Some are shown only together with others.
		like, err := likeness(asked, a.sample())
		if err != nil {
			return v, name + " " + err.Error()
		}
		v = like
	}
	if why := a.refuses(v); told && why != "" {
		return v, name + " " + why
	}
	return v, ""
}

func (t talk) setBIOS(want core.BIOSAttributes) (core.Change, error) {
	f, err := t.bios()
	if err != nil {
		return core.Change{}, err
	}
	wanted, err := t.accept(f, want)
	if err != nil {
		return core.Change{}, err
	}
	jobs, err := t.queue(f)
	if err != nil {
		return core.Change{}, err
	}
	if job, open := jobs.open(); open && job.runs() {
		if f, jobs, err = t.outlast(); err != nil {
			return core.Change{}, err
		}
	}
	change := core.Change{Differs: f.differences(wanted)}
	need := f.needed(wanted)
	if len(need) > 0 {
		if f, err = t.writeBIOS(f, jobs, need); err != nil {
			return core.Change{}, err
		}
	}
	change.Reset = f.waits(wanted) || f.blind && len(need) > 0
	if !change.Reset {
		return change, nil
	}
	return change, t.ensureJob(f)
}

// outlast waits for a job that is at the attributes, and reads them anew.
func (t talk) outlast() (f bios, jobs queueOfJobs, err error) {
	seen, done, err := t.patiently(t.options.Apply, func() (bool, string, error) {
		if f, err = t.bios(); err != nil {
			return false, "", err
		}
		if jobs, err = t.queue(f); err != nil {
			return false, "", err
		}
		job, open := jobs.open()
		return !open || !job.runs(), job.String(), nil
	})
	if err == nil && !done {
		err = &unsettledError{seen: seen, err: context.DeadlineExceeded}
	}
	return f, jobs, err
}

// writeBIOS writes attributes and reads back that they wait, or are in force.
func (t talk) writeBIOS(f bios, jobs queueOfJobs, need attributes) (bios, error) {
	if job, open := jobs.open(); open {
		// What waits is shut by its job, and goes with it.
		all := maps.Clone(f.waiting)
		maps.Copy(all, need)
		need = all
		if err := t.deleteJob(job); err != nil {
			return bios{}, err
		}
	}
	body := map[string]any{"Attributes": need}
	if f.timed {
		body["@Redfish.SettingsApplyTime"] = map[string]string{"ApplyTime": "OnReset"}
	}
	write := func() error {
		_, err := t.patchForLater(f.link, "", body)
		return err
	}
	if f.blind {
		if err := write(); err != nil {
			return bios{}, t.blame(need, err)
		}
		return f, nil
	}
	var after bios
	err := t.settle(
		write,
		func() (bool, string, error) {
			var err error
			after, err = t.bios()
			left := after.needed(need)
			return err == nil && len(left) == 0, "BIOS attributes that do not wait: " + strings.Join(sortedNames(left), ", "), err
		},
	)
	if err != nil {
		return bios{}, t.blame(need, err)
	}
	return after, nil
}

// blame adds to a refusal which attributes it is about.
func (t talk) blame(need attributes, refusal error) error {
	var asked, named []string
	for _, name := range sortedNames(need) {
		text := name + " = " + show(need[name])
		asked = append(asked, text)
		if answer := answerOf(refusal); answer != nil && isAbout(answer, name) {
			named = append(named, text)
		}
	}
	if len(named) > 0 {
		asked = named
	}
	return t.notTaken(refusal, "it does not take "+strings.Join(asked, ", "))
}
