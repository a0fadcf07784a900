package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// linearizable has many callers in several processes acquire and release, some of which
// are killed in the middle of it, and wants every answer to be one that they could have
// got one after the other.
func (s suite) linearizable(t *testing.T) {
	const pools, processes, each, calls = 4, 3, 2, 24
	address := s.fresh(t)
	store := s.at(t, address)
	putWorlds(t, store, pools)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &history{began: time.Now()}
	var callers sync.WaitGroup
	var all []*respawned
	for number := range processes {
		p := &respawned{start: func() (*process, error) { return s.launch(t, "calls", address, "") }}
		all = append(all, p)
		for i := range pools * each {
			client := number*pools*each + i
			m := newMind(seed, client, i%pools)
			// Some take their process with them, once.
			dies := -1
			if i < len(deaths)/2 {
				dies = m.IntN(calls)
			}
			callers.Go(func() {
				for n := range calls {
					c, when := m.next(), immortal
					if n == dies {
						c.Verb, c.ID, when = acquire, m.freshID(), deaths[(2*number+i)%len(deaths)]
					}
					h.record(client, c, func() (answer, error) { return p.ask(letter{Client: client, Call: c, Death: when}) })
				}
			})
		}
	}
	callers.Wait()
	for _, p := range all {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	}
	h.check(t)
	if h.count(unheard) == 0 || h.count(held) == 0 || h.count(full) == 0 || h.count(over) == 0 || h.count(taken) == 0 {
		t.Errorf("the callers did not get into each other's way: %d calls, %d unheard", len(h.all), h.count(unheard))
	}
	if broken, err := core.New(core.Config{Store: store}).Verify(t.Context()); err != nil || len(broken) > 0 {
		t.Errorf("afterwards: %v, %v", broken, err)
	}
}

var deaths = []death{beforeCommit, inCommit, afterCommit, anywhere}

// mind decides what a caller does next.
type mind struct {
	*rand.Rand
	pool   int
	recent int // IDs up to here have been used by somebody of this client's sort
}

func newMind(seed uint64, client, pool int) *mind {
	return &mind{Rand: rand.New(rand.NewPCG(seed, uint64(client))), pool: pool}
}

// next asks mostly about what others are at, too.
func (m *mind) next() call {
	c := call{Pool: m.pool, order: order{ID: max(0, m.recent-m.IntN(8)), Twist: m.IntN(12) == 0}}
	switch n := m.IntN(20); {
	case n < 8:
		c.Verb, c.ID = acquire, m.freshID()
	case n < 10:
		c.Verb = acquire
	case n < 17:
		c.Verb = release
	case n < 19:
		c.Verb = find
	default:
		c.Verb = named
	}
	return c
}

// freshID is one a little further on than the last.
func (m *mind) freshID() int {
	m.recent = min(m.recent+1+m.IntN(4), worldIDs-1)
	return m.recent
}

// respawned is a child that is started again when it has died.
type respawned struct {
	start func() (*process, error)

	mu      sync.Mutex
	now     *incarnation
	defects defects
}

// defects are what children did that nobody had asked of them. They have a lock of their
// own: a child may end while the next is waited for.
type defects struct {
	mu  sync.Mutex
	all []error
}

func (d *defects) add(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, err)
}

// incarnation is a child that lives once.
type incarnation struct {
	*process
	dead chan struct{}

	mu      sync.Mutex
	waiting map[int]chan letter // by client
}

// alive is the child that lives now.
func (r *respawned) alive() (*incarnation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		select {
		case <-r.now.dead:
		default:
			return r.now, nil
		}
	}
	p, err := r.start()
	if err != nil {
		return nil, err
	}
	r.now = &incarnation{process: p, dead: make(chan struct{}), waiting: map[int]chan letter{}}
	ready := r.now.expect(-1)
	go r.listen(r.now)
	select {
	case <-ready:
		return r.now, nil
	case <-r.now.dead:
		return nil, errors.New("a child did not start")
	}
}

func (i *incarnation) expect(client int) <-chan letter {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[client] = make(chan letter, 1)
	return i.waiting[client]
}

// listen hands answers on until the child has ended.
func (r *respawned) listen(i *incarnation) {
	defer close(i.dead)
	for i.lines.Scan() {
		var l letter
		if err := json.Unmarshal(i.lines.Bytes(), &l); err != nil {
			break // the half of a line, by a child that was killed
		}
		i.mu.Lock()
		i.waiting[l.Client] <- l
		i.mu.Unlock()
	}
	_ = i.cmd.Wait()
	if i.cmd.ProcessState.Exited() && !i.cmd.ProcessState.Success() {
		r.defects.add(fmt.Errorf("a child ended by itself: %s", i.cmd.ProcessState))
	}
}

// ask has the child do a call, and dies with it where that is asked for.
func (r *respawned) ask(l letter) (answer, error) {
	i, err := r.alive()
	if err != nil {
		return answer{}, err
	}
	heard := i.expect(l.Client)
	text, err := json.Marshal(l)
	if err != nil {
		return answer{}, err
	}
	i.mu.Lock()
	_, err = i.stdin.Write(append(text, '\n'))
	i.mu.Unlock()
	if l.Death == anywhere {
		err = errors.Join(err, i.cmd.Process.Kill())
	}
	if err != nil {
		<-i.dead
	}
	select {
	case l := <-heard:
		if l.Defect != "" {
			return answer{}, errors.New(l.Defect)
		}
		return l.Answer, nil
	case <-i.dead:
		return answer{Says: unheard}, nil
	}
}

// end lets the child come to its end.
func (r *respawned) end() error {
	r.mu.Lock()
	now := r.now
	r.mu.Unlock()
	if now != nil {
		_ = now.stdin.Close() // it may be dead
		<-now.dead
	}
	r.defects.mu.Lock()
	defer r.defects.mu.Unlock()
	return errors.Join(r.defects.all...)
}
