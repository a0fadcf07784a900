package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// each does the same to several things, at most parallel of them at once. One that
// fails does not stop the rest: fail is told of it, and the error returned counts
// them. Where there is one thing only, its error is returned as it is.
func each[T any](ctx context.Context, fail func(error), parallel int, verb string, things []T, do func(context.Context, T) error) error {
	if len(things) == 1 {
		return do(ctx, things[0])
	}
	var (
		mu     sync.Mutex
		failed int
		group  errgroup.Group
	)
	group.SetLimit(parallel)
	for _, thing := range things {
		group.Go(func() error {
			err := ctx.Err()
			if err == nil {
				err = do(ctx, thing)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				if ctx.Err() == nil {
					fail(err)
				}
			}
			return nil
		})
	}
	_ = group.Wait() // what failed was counted
	if failed > 0 {
		return fmt.Errorf("%d of %d could not be %s", failed, len(things), verb)
	}
	return nil
}
