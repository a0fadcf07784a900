package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Importer is a store that can take over what another one holds, of whatever kind.
type Importer interface {
	Store
	// Import has a store hold what fn writes, under the pool ID, the key and the copy's ID
	// of from, in one transaction. Within it AddEvent and AddAudit keep the Seq and At that
	// they are given, which must grow; later ones come after them. A store that holds
	// anything is refused with Exists; one whose pool has moved elsewhere takes that same
	// pool back. Like Update it may run fn again.
	Import(ctx context.Context, from StoreInfo, fn func(tx Tx) error) error
}

// Copied counts what a copy of a store holds.
type Copied struct {
	Nodes       int `json:"nodes"`
	Allocations int `json:"allocations"` // also those that have ended: their IDs stay taken
	Attempts    int `json:"attempts"`
	Leases      int `json:"leases"`
	Events      int `json:"events"`
	Audit       int `json:"audit"`
	Pools       int `json:"pools"`
	Images      int `json:"images"`
	Steps       int `json:"steps"`
	Profiles    int `json:"profiles"`
	Tokens      int `json:"tokens"`
	Owners      int `json:"owners"`
	Authorities int `json:"authorities"`
}

// Snapshot has an empty store hold another one as it stands at one moment, while others
// work on that: what is copied is no second pool to work on, but what a backup is made
// of. It is read back and compared before it is kept.
func Snapshot(ctx context.Context, from Store, to Importer) (taken time.Time, err error) {
	kept := false
	err = from.View(ctx, func(src Tx) error {
		if kept { // the connection broke when all was over
			return nil
		}
		taken = src.Now()
		err := to.Import(ctx, from.Info(), func(dst Tx) error {
			_, err := CopyRows(src, dst)
			return err
		})
		kept = err == nil
		return err
	})
	return taken, err
}

// CopyRows writes all that src sees to dst, which is of an Import, and compares the two.
func CopyRows(src, dst Tx) (copied Copied, err error) {
	err = copied.copy(src, dst)
	if err == nil {
		err = copied.compare(src, dst)
	}
	if differ, ok := errors.AsType[*differError](err); ok {
		err = &Error{Op: opCopy, Kind: Internal, Err: differ, Hint: "nothing was kept of this copy"}
	}
	return copied, err
}

func (c *Copied) copy(src, dst Tx) (err error) {
	*c = Copied{}
	for _, k := range c.kinds() {
		if *k.count, err = k.copy(src, dst); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copied) compare(src, dst Tx) error {
	for _, k := range c.kinds() {
		if err := k.compare(src, dst); err != nil {
			return err
		}
	}
	return nil
}

// differError is a row that does not read back as it was written.
type differError struct {
	what          string
	number        int
	there, copied string
}

func (e *differError) Error() string {
	return fmt.Sprintf("the %s number %d is not what was copied (there is %s, and in the copy %s)", e.what, e.number, e.there, e.copied)
}

// contents is one kind of what a store holds.
type contents interface {
	number(tx Tx) (int, error)
	copy(src, dst Tx) (int, error)
	compare(src, dst Tx) error
}

// kind is one kind, and where its rows are counted.
type kind struct {
	contents
	count *int
}

// kinds are all, in an order in which they can be written.
func (c *Copied) kinds() []kind {
	return []kind{
		{rows[Pool]{"pool", Tx.Pools, Tx.PutPool}, &c.Pools},
		{rows[Image]{"image", Tx.Images, Tx.PutImage}, &c.Images},
		{rows[Step]{"step", Tx.Steps, Tx.PutStep}, &c.Steps},
		{rows[Profile]{"profile", Tx.Profiles, Tx.PutProfile}, &c.Profiles},
		{rows[Token]{"token", Tx.Tokens, Tx.PutToken}, &c.Tokens},
		{rows[Node]{"node", func(tx Tx) iter.Seq2[Node, error] { return tx.Nodes(NodeFilter{}) }, Tx.InsertNode}, &c.Nodes},
		{rows[Lease]{"lease", Tx.Leases, func(tx Tx, l Lease) error { return tx.SwapLease(l, 0) }}, &c.Leases},
		{rows[Allocation]{"allocation", func(tx Tx) iter.Seq2[Allocation, error] { return tx.Allocations(AllocationFilter{}) }, Tx.InsertAllocation}, &c.Allocations},
		{rows[Authority]{"CA", Tx.Authorities, Tx.PutAuthority}, &c.Authorities},
		{rows[Owner]{"owner", Tx.Owners, Tx.PutOwner}, &c.Owners},
		{rows[Attempt]{"attempt", Tx.Attempts, Tx.PutAttempt}, &c.Attempts},
		{rows[Event]{"event", func(tx Tx) iter.Seq2[Event, error] { return tx.Events(EventFilter{Whole: true}) }, Tx.AddEvent}, &c.Events},
		{rows[AuditEntry]{"audit entry", func(tx Tx) iter.Seq2[AuditEntry, error] { return tx.Audit(AuditFilter{Whole: true}) }, Tx.AddAudit}, &c.Audit},
	}
}

// rows are how one kind is listed and written, in the form that it has everywhere.
type rows[T any] struct {
	what string
	list func(Tx) iter.Seq2[T, error]
	put  func(Tx, T) error
}

func (r rows[T]) number(tx Tx) (count int, err error) {
	for _, err := range r.list(tx) {
		if err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

func (r rows[T]) copy(src, dst Tx) (count int, err error) {
	for row, err := range r.list(src) {
		if err != nil {
			return count, err
		}
		if err := r.put(dst, row); err != nil {
			return count, fmt.Errorf("%s %d: %w", r.what, count+1, err)
		}
		count++
	}
	return count, nil
}

// compare reads both back.
func (r rows[T]) compare(src, dst Tx) error {
	next, stop := iter.Pull2(r.list(dst))
	defer stop()
	differ := func(number int, there, copied string) error {
		return &differError{r.what, number, digest(there), digest(copied)}
	}
	number := 0
	for row, err := range r.list(src) {
		if err != nil {
			return err
		}
		number++
		there, err := natural(row)
		if err != nil {
			return err
		}
		copied, ok, err := pulled(next)
		if err != nil {
			return err
		}
		if !ok || there != copied {
			return differ(number, there, copied)
		}
	}
	if copied, more, err := pulled(next); err != nil || more {
		return errors.Join(err, differ(number+1, "", copied))
	}
	return nil
}

// pulled is the next row of an iterator, in its natural form.
func pulled[T any](next func() (T, error, bool)) (text string, ok bool, err error) {
	row, err, ok := next()
	if !ok || err != nil {
		return "", ok, err
	}
	text, err = natural(row)
	return text, true, err
}

// natural is a row as text. What is no text in it reads alike from every store: one of
// them may keep a zero byte, and another may not.
func natural(row any) (string, error) {
	text, err := json.Marshal(row)
	return strings.ReplaceAll(string(text), `\u0000`, `\ufffd`), err
}

// digest tells of a row which it is, and nothing of what may be secret in it.
func digest(row string) string {
	if row == "" {
		return "none"
	}
	var named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Node string `json:"node"`
		Seq  int64  `json:"seq"`
	}
	_ = json.Unmarshal([]byte(row), &named) // what it lacks is left out
	for _, name := range []string{named.ID, named.Name, named.Node} {
		if name != "" {
			return name
		}
	}
	return fmt.Sprintf("number %d", named.Seq)
}
