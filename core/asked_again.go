package core

import "context"

type askedAgainKey struct{}

// WhileAsking has tell hear of requests that backends send again within one verb. tell may
// be called from where they do that, and returns quickly.
func WhileAsking(ctx context.Context, tell func(why string)) context.Context {
	return context.WithValue(ctx, askedAgainKey{}, tell)
}

// AskedAgain is called by a backend whose request did not succeed, before it sends that
// again: the verb may still succeed, and a BMC that refuses every other request is to be
// known for it. why names the request and what was answered, without secrets.
func AskedAgain(ctx context.Context, why string) {
	if tell, ok := ctx.Value(askedAgainKey{}).(func(string)); ok && ctx.Err() == nil {
		tell(why)
	}
}

type awaitedKey struct{}

// WhileAwaiting has tell hear of what backends wait for within one verb. tell may be called
// with the same again and again, and returns quickly.
func WhileAwaiting(ctx context.Context, tell func(what string)) context.Context {
	return context.WithValue(ctx, awaitedKey{}, tell)
}

// Awaits is called by a backend within a verb that takes minutes, with what is there
// instead of what is to be.
func Awaits(ctx context.Context, what string) {
	if tell, ok := ctx.Value(awaitedKey{}).(func(string)); ok && ctx.Err() == nil {
		tell(what)
	}
}
