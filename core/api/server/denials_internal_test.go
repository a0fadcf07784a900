package server

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A token that asks for what it may not all day makes the audit log grow by little, and
// each of its writes is told of, or counted.
func TestRefusedWritesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		lines := map[string][]core.AuditEntry{}
		d := newDenials(func(e core.AuditEntry) {
			mu.Lock()
			defer mu.Unlock()
			lines[e.Token] = append(lines[e.Token], e)
		})
		of := func(token string) []core.AuditEntry {
			mu.Lock()
			defer mu.Unlock()
			return lines[token]
		}
		refuse := func(token string, many int) {
			for range many {
				d.add(core.AuditEntry{Token: token, Outcome: core.AuditDenied, Error: "no"})
			}
		}
		refuse("eve", denialsBurst+1000)
		refuse("bob", 1)
		if len(of("eve")) != denialsBurst || len(of("bob")) != 1 {
			t.Fatalf("%d lines of eve, %d of bob", len(of("eve")), len(of("bob")))
		}
		wantLast := func(many int, want string) {
			t.Helper()
			synctest.Wait()
			if all := of("eve"); len(all) != many || all[many-1].Error != want {
				t.Errorf("%d lines, the last %+v; want %d, %q", len(all), all[len(all)-1], many, want)
			}
		}
		<-time.After(denialsEvery)
		wantLast(denialsBurst+1, "the last of 1000 writes of this token that were refused: no")
		refuse("eve", 1) // a minute has gone
		wantLast(denialsBurst+2, "no")
		refuse("eve", 7)
		d.flush()
		wantLast(denialsBurst+3, "the last of 7 writes of this token that were refused: no")
		<-time.After(time.Hour)
		wantLast(denialsBurst+3, "the last of 7 writes of this token that were refused: no")
		if all := of("bob"); len(all) != 1 {
			t.Errorf("bob: %+v", all)
		}
	})
}
