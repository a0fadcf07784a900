package core_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Whoever waits for another process's worker is told whom he waits for, once, and in no
// words of an error: several processes on one pool are as it should be.
func TestWaitingForAnotherWorkerIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		node := p.rack.Servers()[0].ID
		if _, err := e.Pause(t.Context(), node, "memory"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Resume(t.Context(), node, "memory"); err != nil {
			t.Fatal(err)
		}
		err := p.store.Update(t.Context(), func(tx core.Tx) error {
			l, err := tx.Lease(node)
			if err != nil {
				return err
			}
			next := core.Lease{Node: node, Holder: "bob@desk/7/w-0022d", Generation: l.Generation + 1, Expires: tx.Now().Add(time.Minute)}
			return tx.SwapLease(next, l.Generation)
		})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		_, err = e.Reconcile(t.Context(), core.ReconcileOptions{Wait: true}, func(m core.Progress) {
			if m.Step == "wait" {
				told = append(told, m.Message)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || !strings.Contains(told[0], "until bob@desk/7 is done") || strings.Contains(told[0], "busy") || strings.Contains(told[0], "w-0022d") {
			t.Errorf("while another worker had the lease it told %q", told)
		}
	})
}
