package pgtest

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestSetClock(t *testing.T) {
	s := OwnWithClock(t)
	for _, ahead := range []time.Duration{0, time.Hour, -20 * time.Second} {
		if err := errors.Join(s.Stop(syscall.SIGINT), s.SetClock(ahead), s.Start()); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		var now time.Time
		before := time.Now()
		if err := conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now); err != nil {
			t.Fatal(err)
		}
		after := time.Now()
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		const coarse = 10 * time.Millisecond // of how the offset is written, and of the library
		if now.Before(before.Add(ahead-coarse)) || now.After(after.Add(ahead+coarse)) {
			t.Errorf("with its clock ahead by %s it says %s, between %s and %s", ahead, now, before, after)
		}
	}
	if err := Shared(t).SetClock(0); err == nil {
		t.Error("the clock of a server is set that has none of its own")
	}
}
