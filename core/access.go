package core

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tokenPrefix begins every token, so that whoever finds one in a log or a commit knows
// what it is.
const tokenPrefix = "metalpool_"

// CreateToken makes a token. secret is told here and never again; its digest is kept.
func (e *Engine) CreateToken(ctx context.Context, o TokenOrder) (t Token, secret string, err error) {
	if o.Role == "" {
		o.Role = RoleUser
	}
	if o.By == "" {
		o.By = e.process
	}
	if err := o.validate(); err != nil {
		return Token{}, "", err
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	secret = tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	err = e.store.Update(ctx, func(tx Tx) error {
		for _, pool := range o.Pools {
			if _, err := findPool(tx, pool); err != nil {
				return err
			}
		}
		if err := o.again(tx); err != nil {
			return err
		}
		t = Token{ID: NewID("t"), Request: o.Request, Name: o.Name, Role: o.Role, Hash: tokenHash(secret), Pools: o.Pools, Quota: o.Quota, CreatedAt: tx.Now(), CreatedBy: o.By}
		if o.Lifetime > 0 {
			t.ExpiresAt = tx.Now().Add(o.Lifetime)
		}
		return tx.PutToken(t)
	})
	t.Hash = ""
	return t, secret, err
}

// retried is for how long an order that is sent again is taken for the same.
const retried = time.Hour

// again revokes what the same order has made before: its secret cannot be told twice,
// since only its digest was kept.
func (o TokenOrder) again(tx Tx) error {
	if o.Request == "" {
		return nil
	}
	// No allocation has such an ID. Whoever else looks for it waits until we have committed,
	// and then finds our token.
	if _, err := tx.Allocation(AllocationID("token by " + o.Request)); err != nil && !Is(err, NotFound) {
		return err
	}
	all, err := collect(tx.Tokens())
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Request != o.Request || tx.Now().Sub(t.CreatedAt) > retried {
			continue
		}
		if t.Name != o.Name || t.Role != o.Role || t.Quota != o.Quota || !slices.Equal(t.Pools, o.Pools) || !t.lasts(o.Lifetime) {
			return &Error{Op: "create token " + o.Name, Kind: Invalid, Err: errors.New("the request's ID was used for another token"), Hint: "make a new ID for each"}
		}
		if !t.RevokedAt.IsZero() {
			continue
		}
		t.RevokedAt = tx.Now()
		if err := tx.PutToken(t); err != nil {
			return err
		}
	}
	return nil
}

// lasts reports whether a token was made for so long.
func (t Token) lasts(lifetime time.Duration) bool {
	if t.ExpiresAt.IsZero() {
		return lifetime == 0
	}
	return t.ExpiresAt.Sub(t.CreatedAt) == lifetime
}

func tokenHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Tokens lists all that were ever made, oldest first, without what they are told by.
func (e *Engine) Tokens(ctx context.Context) ([]Token, error) {
	var all []Token
	err := e.store.View(ctx, func(tx Tx) (err error) {
		all, err = collect(tx.Tokens())
		return err
	})
	for i := range all {
		all[i].Hash = ""
	}
	slices.SortFunc(all, func(a, b Token) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, err
}

// RevokeToken ends a token at once. It is named by its ID; one that was revoked stays so.
func (e *Engine) RevokeToken(ctx context.Context, id string) (Token, error) {
	var found Token
	err := e.store.Update(ctx, func(tx Tx) error {
		all, err := collect(tx.Tokens())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t Token) bool { return t.ID == id })
		if i < 0 {
			return noToken(id, all)
		}
		if found = all[i]; !found.RevokedAt.IsZero() {
			return nil
		}
		found.RevokedAt = tx.Now()
		return tx.PutToken(found)
	})
	found.Hash = ""
	return found, err
}

// noToken names the tokens of an owner, where that is what was asked for.
func noToken(asked string, all []Token) error {
	var of []string
	for _, t := range all {
		if t.Name == asked && t.RevokedAt.IsZero() {
			of = append(of, t.ID)
		}
	}
	hint := "see 'metalpool token list'"
	if len(of) > 0 {
		hint = fmt.Sprintf("%s has %s: name the one to be revoked", asked, strings.Join(of, ", "))
	}
	return &Error{Op: "revoke token " + asked, Kind: NotFound, Err: errors.New("no token has this ID"), Hint: hint}
}

// Authenticate finds the token that a secret is. It is Denied where it is unknown,
// expired or revoked.
func (e *Engine) Authenticate(ctx context.Context, secret string) (Token, error) {
	var t Token
	err := e.store.View(ctx, func(tx Tx) (err error) {
		// Looked up by the digest: how long that takes tells nothing of the secret.
		if t, err = tx.Token(tokenHash(secret)); Is(err, NotFound) {
			return errUnknownToken
		}
		if err != nil {
			return err
		}
		return t.usable(tx.Now())
	})
	if err == nil {
		e.Seen(ctx, t.Name)
	}
	t.Hash = ""
	return t, err
}
