package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// collect reads a list to its end.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var list []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// Pools lists the pools; the default one is there even before it was declared.
func (e *Engine) Pools(ctx context.Context) ([]Pool, error) {
	var list []Pool
	err := e.store.View(ctx, func(tx Tx) (err error) {
		if list, err = collect(tx.Pools()); err != nil {
			return err
		}
		for _, p := range list {
			if p.Name == DefaultPool {
				return nil
			}
		}
		list = append([]Pool{{Name: DefaultPool}}, list...)
		return nil
	})
	return list, err
}

// Pool reads one pool.
func (e *Engine) Pool(ctx context.Context, name string) (p Pool, err error) {
	err = e.store.View(ctx, func(tx Tx) error {
		p, err = findPool(tx, name)
		return err
	})
	return p, err
}

// SetPool declares a pool, or changes its policy: it is declared by p.DeclaredBy then.
// What somebody else has declared is refused; Apply can take that over.
func (e *Engine) SetPool(ctx context.Context, p Pool) error {
	return e.putPool(ctx, p, func(Tx) error { return nil })
}

// AddPool declares a pool that nobody has declared. One that is there as asked for is the
// same: whoever lost the answer asks again.
func (e *Engine) AddPool(ctx context.Context, p Pool) error {
	return e.putPool(ctx, p, func(tx Tx) error {
		there, err := findPool(tx, p.Name)
		switch {
		case Is(err, NotFound):
			return nil
		case err != nil:
			return err
		case sameJSON(there.Policy(), PoolDeclaration{Name: p.Name}), sameJSON(there.withDefaults().Policy(), p.withDefaults().Policy()):
			return nil
		}
		return &Error{Op: "add pool " + p.Name, Kind: Exists, Err: errors.New("it is there with another policy"), Hint: "see 'metalpool pool show " + p.Name + "'; change that one, or choose another name"}
	})
}

func (e *Engine) putPool(ctx context.Context, p Pool, allowed func(Tx) error) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if p.DefaultImage != "" {
		if _, err := e.findImage(ctx, p.DefaultImage); err != nil {
			return err
		}
	}
	return e.store.Update(ctx, func(tx Tx) error {
		if err := allowed(tx); err != nil {
			return err
		}
		if err := p.findChoices(tx); err != nil {
			return err
		}
		there, err := tx.Pool(p.Name)
		if err != nil && !Is(err, NotFound) {
			return err
		}
		if err := checkGiven(tx, askedWith(ctx), there, p); err != nil {
			return err
		}
		same := err == nil && sameJSON(there.Policy(), p.Policy())
		if p.DeclaredBy, err = declarer(kindPool, p.Name, there.DeclaredBy, p.DeclaredBy, same); err != nil || same && p.DeclaredBy == there.DeclaredBy {
			return err
		}
		return tx.PutPool(p)
	})
}

// RemovePool removes a pool that has no nodes. by is who removes it.
func (e *Engine) RemovePool(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		p, err := findPool(tx, name)
		if err != nil {
			return err
		}
		if err := mayRemove(kindPool, name, p.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		nodes, err := collect(tx.Nodes(NodeFilter{Pool: name}))
		if err != nil {
			return err
		}
		if len(nodes) > 0 {
			return &Error{Op: "remove pool " + name, Kind: Busy, Err: fmt.Errorf("it has %d nodes", len(nodes)), Hint: "retire them, or move them with 'metalpool node set NODE --pool OTHER'"}
		}
		return tx.DeletePool(name)
	})
}

// CheckImageName refuses with Invalid what no image can be called.
func CheckImageName(name string) error {
	if idPattern().MatchString(name) {
		return nil
	}
	return &Error{Op: "add image", Kind: Invalid, Err: fmt.Errorf("%q cannot name an image", name), Hint: "use letters, digits, dots, dashes and underscores, at most 64, and begin with a letter or digit"}
}

// AddImage examines an image file and puts it into the catalogue. The same name with
// the same content is the same image; with another it is refused.
func (e *Engine) AddImage(ctx context.Context, i Image, progress func(done, total Bytes)) (Image, error) {
	if err := CheckImageName(i.Name); err != nil {
		return i, err
	}
	if err := i.Boot.Validate(); err != nil {
		return i, &Error{Op: "add image " + i.Name, Kind: Invalid, Err: err, Hint: "leave it out for " + string(Kexec)}
	}
	by := i.DeclaredBy
	i, err := e.deployer.Examine(ctx, i, progress)
	if err != nil {
		return i, err
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		old, err := tx.Image(i.Name)
		if err != nil && !Is(err, NotFound) {
			return err
		}
		if err == nil && old.SHA256 != i.SHA256 {
			return otherContent("add image "+i.Name, old.SHA256, i.SHA256)
		}
		same := err == nil && sameJSON(old.Declaration(), i.Declaration())
		if i.DeclaredBy, err = declarer(kindImage, i.Name, old.DeclaredBy, by, same); err != nil {
			return err
		}
		i.AddedAt = tx.Now().UTC().Truncate(time.Second)
		return tx.PutImage(i)
	})
	return i, err
}

// Images lists the catalogue.
func (e *Engine) Images(ctx context.Context) ([]Image, error) {
	var list []Image
	err := e.store.View(ctx, func(tx Tx) (err error) {
		list, err = collect(tx.Images())
		return err
	})
	return list, err
}

// Image reads one image.
func (e *Engine) Image(ctx context.Context, name string) (Image, error) {
	return e.findImage(ctx, name)
}

// RemoveImage takes an image out of the catalogue, unless a pool or a deploy uses it. by
// is who removes it.
func (e *Engine) RemoveImage(ctx context.Context, name string, by Declarer, takeOver bool) error {
	return e.store.Update(ctx, func(tx Tx) error {
		i, err := imageIn(tx, name)
		if err != nil {
			return err
		}
		if err := mayRemove(kindImage, name, i.DeclaredBy, by, takeOver); err != nil {
			return err
		}
		busy := func(format string, args ...any) error {
			return &Error{Op: "remove image " + name, Kind: Busy, Err: fmt.Errorf(format, args...), Hint: "change that first"}
		}
		pools, err := collect(tx.Pools())
		if err != nil {
			return err
		}
		for _, p := range pools {
			if p.DefaultImage == name {
				return busy("it is the default of pool %q", p.Name)
			}
		}
		for a, err := range tx.Allocations(AllocationFilter{States: []State{Allocated, Deploying, Failed}}) {
			if err != nil {
				return err
			}
			if a.Order != nil && a.Order.Image == name {
				return busy("%s/%s is %s with it", a.Owner, a.Name, a.State)
			}
		}
		return tx.DeleteImage(name)
	})
}
