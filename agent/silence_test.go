package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

const limit = time.Minute

// heard lets time pass, and reports whether it was not too long a silence.
func heard(e *ears, d time.Duration) bool {
	<-time.After(d)
	synctest.Wait()
	select {
	case <-e.silent:
		return false
	default:
		return true
	}
}

func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name string
		live func(t *testing.T, e *ears)
	}{
		{"from the start", func(t *testing.T, e *ears) {
			if !heard(e, limit-1) || heard(e, 2) {
				t.Error("it did not end after the limit")
			}
		}},
		{"after a call", func(t *testing.T, e *ears) {
			heard(e, limit-1)
			e.call()()
			if !heard(e, limit-1) || heard(e, 2) {
				t.Error("a call did not begin it anew")
			}
		}},
		{"not during a call", func(t *testing.T, e *ears) {
			first, second := e.call(), e.call()
			heard(e, limit/2)
			first()
			if !heard(e, 10*limit) {
				t.Error("it fell while somebody was calling")
			}
			second()
			if !heard(e, limit-1) || heard(e, 2) {
				t.Error("it did not begin with the call's end")
			}
		}},
		{"not during work that must go on", func(t *testing.T, e *ears) {
			end := e.keep()
			if !heard(e, 10*limit) {
				t.Error("it fell during the work")
			}
			e.call()()
			if !heard(e, 10*limit) {
				t.Error("it fell during the work, after a call")
			}
			end()
			if !heard(e, limit-1) || heard(e, 2) {
				t.Error("it did not begin with the work's end")
			}
		}},
		{"for good", func(t *testing.T, e *ears) {
			heard(e, limit)
			e.call()()
			e.expire()
			if heard(e, 0) {
				t.Error("a call after it undid it")
			}
		}},
		{"not by a timer that fired too early", func(t *testing.T, e *ears) {
			heard(e, limit/2)
			e.call()()
			e.expire() // as it would after it had waited for the call's lock
			if !heard(e, limit-1) || heard(e, 2) {
				t.Error("the rest of the limit did not count")
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEars(limit)
				defer e.close()
				test.live(t, e)
			})
		})
	}
}

func TestAttendance(t *testing.T) {
	e := newEars(time.Hour)
	defer e.close()
	now, came := e.attended()
	if now {
		t.Error("somebody calls at the start")
	}
	end := e.call()
	<-came
	if now, _ := e.attended(); !now {
		t.Error("nobody calls during a call")
	}
	end()
	if now, _ := e.attended(); now {
		t.Error("somebody calls after the call")
	}
	defer e.keep()()
	if now, _ := e.attended(); now {
		t.Error("work counts as somebody")
	}
}
