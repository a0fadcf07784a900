package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// death is where in its commit a process is to be killed that does what it was asked.
type death string

const (
	immortal     death = ""
	beforeCommit death = "before"
	inCommit     death = "in"
	afterCommit  death = "after"
	anywhere     death = "anywhere" // by its parent
)

// letter is what a parent writes to a child, and the child's answer to it.
type letter struct {
	Client int
	Call   call   `json:",omitzero"`
	Death  death  `json:",omitempty"`
	Answer answer `json:",omitzero"`
	Defect string `json:",omitempty"`
}

// answerCalls does what a parent asks, all of it at one time, until the parent has no
// more to ask.
func answerCalls(ctx context.Context, store core.Store, from io.Reader, to io.Writer) error {
	e := core.New(core.Config{Store: mortal{store}})
	asked := json.NewDecoder(bufio.NewReader(from))
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		told = json.NewEncoder(to)
		errs []error
	)
	tell := func(l letter) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, told.Encode(l))
	}
	tell(letter{Client: -1}) // ready
	for {
		var l letter
		err := asked.Decode(&l)
		if errors.Is(err, io.EOF) {
			all.Wait()
			return errors.Join(errs...)
		}
		if err != nil {
			return err
		}
		all.Go(func() {
			said, err := l.Call.ask(context.WithValue(ctx, deathKey{}, l.Death), e)
			if l.Answer = said; err != nil {
				l.Defect = err.Error()
			}
			tell(l)
		})
	}
}

type deathKey struct{}

// mortal is a store whose process dies, by kill -9, around the commit that decides
// about an allocation, where its context says so.
type mortal struct{ core.Store }

func (m mortal) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	when, _ := ctx.Value(deathKey{}).(death)
	if when == immortal || when == anywhere {
		return m.Store.Update(ctx, fn)
	}
	decides := false
	err := m.Store.Update(ctx, func(tx core.Tx) error {
		decides = false
		if err := fn(deciding{tx, &decides}); err != nil || !decides {
			return err
		}
		switch when {
		case beforeCommit:
			die()
		case inCommit:
			moment := time.Duration(rand.Int64N(int64(3 * time.Millisecond)))
			time.AfterFunc(moment, die)
		}
		return nil
	})
	if decides && err == nil {
		die() // also where the commit was quicker than its killer
	}
	return err
}

// die is a kill -9: nothing of this process runs on.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}

// deciding notices whether a transaction writes an allocation.
type deciding struct {
	core.Tx
	decides *bool
}

func (d deciding) InsertAllocation(a core.Allocation) error {
	*d.decides = true
	return d.Tx.InsertAllocation(a)
}

func (d deciding) SwapAllocation(a core.Allocation) error {
	*d.decides = true
	return d.Tx.SwapAllocation(a)
}
