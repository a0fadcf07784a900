package core

import (
	"context"
	"time"
)

// Authority is a CA of the pool, by which clients know its servers: each of them signs a
// certificate of its own with it.
type Authority struct {
	Name        string    `json:"name"`
	Certificate []byte    `json:"certificate"` // DER; public
	Key         Sealed    `json:"key"`         // PKCS#8
	MadeAt      time.Time `json:"made_at"`
}

// Servers is the name of the CA of the pool's servers.
const Servers = "servers"

// Authority finds the CA of that name: its certificate in DER, and its key as PKCS#8.
// Where there is none, what offer makes is kept; of several processes that come at one
// time the first one's is, and all are told that.
func (e *Engine) Authority(ctx context.Context, name string, offer func() (certificate, key []byte, err error)) (certificate, key []byte, err error) {
	var a Authority
	err = e.store.View(ctx, func(tx Tx) (err error) {
		a, err = tx.Authority(name)
		return err
	})
	if Is(err, NotFound) {
		a, err = e.foundAuthority(ctx, name, offer)
	}
	if err != nil {
		return nil, nil, err
	}
	key, err = e.sealer.Open(a.Key)
	if err != nil {
		return nil, nil, &Error{Op: "open the CA " + name, Kind: KindOf(err), Err: err, Hint: "see 'metalpool check'"}
	}
	return a.Certificate, key, nil
}

// foundAuthority keeps what offer makes, unless somebody else was quicker.
func (e *Engine) foundAuthority(ctx context.Context, name string, offer func() (certificate, key []byte, err error)) (a Authority, err error) {
	certificate, key, err := offer()
	if err != nil {
		return a, err
	}
	sealed, err := e.sealer.Seal(key)
	if err != nil {
		return a, err
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		a, err = tx.Authority(name)
		if !Is(err, NotFound) {
			return err
		}
		a = Authority{Name: name, Certificate: certificate, Key: sealed, MadeAt: tx.Now()}
		if err := tx.PutAuthority(a); err != nil {
			return err
		}
		return tx.AddEvent(Event{Type: Note, Message: "the CA " + name + " is kept in the store from now on", By: e.process})
	})
	return a, err
}
