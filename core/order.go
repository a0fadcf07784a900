package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sync"
)

// The patterns are compiled when first needed. docker-machine starts a process for
// each machine that it lists, and these two were a tenth of its start.
var (
	idPattern   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })
	namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9A-Z]([a-z0-9A-Z-]{0,61}[a-z0-9A-Z])?$`) })
)

// validate refuses what can never be served, before anything is written.
func validate(o Order) error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "create", Allocation: o.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case !idPattern().MatchString(string(o.ID)):
		return bad("use 1 to 64 letters, digits, dots, dashes and underscores", "%q is not an allocation ID", o.ID)
	case o.Owner == "":
		return bad("set METALPOOL_OWNER", "the machine has no owner")
	case o.TTL < 0:
		return bad("say how long from now, such as 8h, or leave it out", "a machine cannot end before it begins")
	case o.SSHPort < 0, o.SSHPort > 65535:
		return bad("use 1 to 65535, or leave it out", "%d is not a port", o.SSHPort)
	}
	if err := CheckName("create", o.Name, o.Name); err != nil {
		return err
	}
	if err := checkPostDeploy(o); err != nil {
		return err
	}
	if err := checkRequest("create", o.Name, o.Request); err != nil {
		return err
	}
	return CheckLabels("create", o.Name, o.Labels)
}

// nameHint says what namePattern asks of a name.
const nameHint = "use letters, digits and dashes, at most 63, and begin and end with a letter or digit"

// CheckName refuses with Invalid what no machine can be called. op is what the name is
// for, and machine what it is for.
func CheckName(op, machine, name string) error {
	if namePattern().MatchString(name) {
		return nil
	}
	return &Error{Op: op, Allocation: machine, Kind: Invalid, Err: fmt.Errorf("%q is not a machine name", name), Hint: nameHint}
}

// checkRequest refuses what no node could ever have.
func checkRequest(op, machine string, r Request) error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: op, Allocation: machine, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case r.CPUs < 0, r.Memory < 0, r.GPUs < 0:
		return bad("leave out what does not matter", "a requirement is negative")
	case !slices.Contains([]PlaceMode{"", Spread, Together}, r.Place.Mode):
		return bad("say spread=LABEL or together=LABEL", "%q is no placement", r.Place.Mode)
	case r.Place.Mode != "" && r.Place.Key == "":
		return bad("say by which label, such as spread=rack", "%s needs a label", r.Place.Mode)
	}
	for _, d := range r.Disks {
		if d.Count < 1 || d.Size < 0 || !slices.Contains([]DiskKind{"", HDD, SSD, NVMe}, d.Kind) {
			return bad("write disks such as 2x480GB,ssd", "%v is no requirement of disks", d)
		}
	}
	for _, n := range r.NICs {
		if n.Count < 1 || n.Mbps < 0 {
			return bad("write ports such as 2x25G", "%v is no requirement of ports", n)
		}
	}
	for _, s := range r.Labels {
		if s.Label == "" || !slices.Contains([]SelectorOp{OpEqual, OpNotEqual, OpIn, OpNotIn, OpExists}, s.Op) {
			return bad("write labels such as "+selectorExample, "%q is no condition on a label", s)
		}
	}
	return nil
}

func (o Order) withDefaults() Order {
	if o.Owner == "" {
		o.Owner = DefaultOwner()
	}
	if o.Request.Pool == "" {
		o.Request.Pool = DefaultPool
	}
	return o
}

// resolve validates an order and fills in what the pool and the catalogue decide.
func (e *Engine) resolve(ctx context.Context, o Order) (Order, error) {
	o = o.withDefaults()
	if err := validate(o); err != nil {
		return o, err
	}
	if len(o.Keys) == 0 {
		return o, &Error{Op: "create", Allocation: o.Name, Kind: Invalid, Err: errors.New("no SSH key was given, so nobody could log in"), Hint: "give at least one public key"}
	}
	err := e.store.View(ctx, func(tx Tx) error {
		p, err := findPool(tx, o.Request.Pool)
		if err != nil {
			return err
		}
		o.Image = cmp.Or(o.Image, p.DefaultImage)
		return checkWaitFor(o, p)
	})
	if err != nil {
		return o, err
	}
	if err := e.CheckRamdisk(); err != nil {
		return o, named(err, o.Name)
	}
	steps, err := e.doableSteps(ctx, o)
	if err != nil {
		return o, err
	}
	if o.Image == "" {
		return o, &Error{Op: "create", Allocation: o.Name, Kind: Invalid, Err: fmt.Errorf("no image was named and pool %q has no default", o.Request.Pool), Hint: "name one of 'metalpool image list', or set a default with 'metalpool pool set " + o.Request.Pool + " --image NAME'"}
	}
	image, err := e.findImage(ctx, o.Image)
	if err != nil {
		return o, err
	}
	if o.Request.Arch == "" {
		o.Request.Arch = image.Arch
	}
	// The seed is rendered once with throw-away host keys: what is wrong with keys,
	// host name or user data shows before a node is taken.
	seed := Seed{InstanceID: "check", Hostname: cmp.Or(o.Hostname, o.Name), User: cmp.Or(o.SSHUser, image.User), Keys: o.Keys}
	if seed.UserData, err = combine(fragmentsOf(steps, orderFacts(o, seed)), o.UserData); err != nil {
		return o, named(err, o.Name)
	}
	if seed.HostKeys, _, err = e.deployer.NewHostKeys(); err != nil {
		return o, named(err, o.Name)
	}
	if _, err := e.deployer.RenderSeed(seed); err != nil {
		return o, named(err, o.Name)
	}
	source, err := e.deployer.OpenImage(ctx, image)
	if err != nil {
		return o, named(err, o.Name)
	}
	return o, source.Close()
}

// findImage reads the catalogue; an unknown name is answered with the known ones.
func (e *Engine) findImage(ctx context.Context, name string) (i Image, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		i, err = imageIn(tx, name)
		return err
	})
	return i, err
}

func imageIn(tx Tx, name string) (Image, error) {
	i, err := tx.Image(name)
	if !Is(err, NotFound) {
		return i, err
	}
	images, err := collect(tx.Images())
	if err != nil {
		return i, err
	}
	hint := "the catalogue is empty; add one with 'metalpool image add'"
	if len(images) > 0 {
		hint = thereAre(name, images, func(i Image) string { return i.Name }, "metalpool image list")
	}
	return i, &Error{Op: "find image " + name, Kind: NotFound, Err: errors.New("no such image"), Hint: hint}
}

// Check looks whether an order could be served now, and allocates nothing.
func (e *Engine) Check(ctx context.Context, o Order) error {
	o, err := e.resolve(ctx, o)
	if err != nil {
		return err
	}
	err = e.store.View(ctx, func(tx Tx) error {
		a, err := e.existing(tx, o)
		if err != nil || a.ID != "" {
			return err
		}
		pool, err := findPool(tx, o.Request.Pool)
		if err != nil {
			return err
		}
		if err := e.admit(tx, pool, o); err != nil {
			return err
		}
		_, err = choose(tx, pool, Allocation{ID: o.ID, Owner: o.Owner, Name: o.Name, Request: o.Request})
		return err
	})
	err = e.explained(ctx, err)
	if _, passes := mayPass(err); err != nil && passes && o.Wait > 0 {
		return nil // it will queue
	}
	return err
}

// hostOf is the host of a BMC's URL, without its port.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
