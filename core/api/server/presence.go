package server

import (
	"context"
	"sync"
	"time"
)

// presence is who hears something at the moment, by token: who is put out here hears no
// more at once. What another process does is found out within api.EventsAlive.
type presence struct {
	look time.Duration // how often it is asked whether a token is still good

	mu      sync.Mutex
	here    map[string]map[*listener]struct{}
	revoked map[string]struct{} // tokens that were put out: somebody may be on his way in
}

func newPresence(look time.Duration) *presence {
	return &presence{look: look, here: map[string]map[*listener]struct{}{}, revoked: map[string]struct{}{}}
}

// listener is one who hears something for long.
type listener struct {
	out     chan struct{} // closed once its token was revoked here
	expires <-chan time.Time
	leave   func()
}

// enter is a listener until it leaves.
func (s *presence) enter(p principal) *listener {
	l := &listener{out: make(chan struct{})}
	timer := (*time.Timer)(nil)
	if !p.ExpiresAt.IsZero() {
		timer = time.NewTimer(time.Until(p.ExpiresAt))
		l.expires = timer.C
	}
	l.leave = func() {
		if timer != nil {
			timer.Stop()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.here[p.ID], l)
		if len(s.here[p.ID]) == 0 {
			delete(s.here, p.ID)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, out := s.revoked[p.ID]; out {
		close(l.out)
		return l
	}
	if s.here[p.ID] == nil {
		s.here[p.ID] = map[*listener]struct{}{}
	}
	s.here[p.ID][l] = struct{}{}
	return l
}

// putOut ends all that a token's listeners hear.
func (s *presence) putOut(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.here[token] {
		close(l.out)
	}
	delete(s.here, token)
	s.revoked[token] = struct{}{}
}

// whileIn calls end once the caller's token is good no more, or does nothing where ctx
// ends first.
func (p principal) whileIn(ctx context.Context, end func()) {
	l := p.presence.enter(p)
	defer l.leave()
	look := time.NewTicker(p.presence.look)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-l.expires:
		case <-l.out:
			end()
			return
		case <-ctx.Done():
			return
		}
		if p.putOut(ctx) {
			end()
			return
		}
	}
}
