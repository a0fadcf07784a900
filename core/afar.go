package core

import "context"

type afarKey struct{}

// AskedFromAfar is a context of what somebody asks who is not on this host: a Deployer
// fetches nothing for it from the host itself, or from what only its neighbours reach, and
// a BMC's password that is kept is sent to no address of his choice.
func AskedFromAfar(ctx context.Context) context.Context {
	return context.WithValue(ctx, afarKey{}, true)
}

// IsFromAfar reports whether a context is of AskedFromAfar.
func IsFromAfar(ctx context.Context) bool {
	afar, _ := ctx.Value(afarKey{}).(bool)
	return afar
}
