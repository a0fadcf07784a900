package record

import (
	"errors"
	"fmt"

	"github.com/metalpool/metalpool/core"
)

// NoPool says that there is none of that name.
func NoPool(name string) error {
	return &core.Error{Op: "find pool", Kind: core.NotFound, Err: fmt.Errorf("there is no pool %q", name), Hint: "see 'metalpool pool list'"}
}

// NoImage says that there is none of that name.
func NoImage(name string) error {
	return &core.Error{Op: "find image", Kind: core.NotFound, Err: fmt.Errorf("there is no image %q", name), Hint: "see 'metalpool image list'"}
}

// NoToken says that none has the digest that was asked for, and not which that was.
func NoToken() error {
	return &core.Error{Op: "find token", Kind: core.NotFound, Err: errors.New("no token has this digest"), Hint: "see 'metalpool token list'"}
}

// NoAuthority says that there is no CA of that name.
func NoAuthority(name string) error {
	return &core.Error{Op: "find CA", Kind: core.NotFound, Err: fmt.Errorf("there is no CA %q", name), Hint: "the first 'metalpool serve' makes it"}
}

// NoStep says that there is no step of that name.
func NoStep(name string) error {
	return &core.Error{Op: "find step", Kind: core.NotFound, Err: fmt.Errorf("there is no step %q", name), Hint: "see 'metalpool step list'"}
}

// NoProfile says that there is no profile of that name.
func NoProfile(name string) error {
	return &core.Error{Op: "find profile", Kind: core.NotFound, Err: fmt.Errorf("there is no profile %q", name), Hint: "see 'metalpool profile list'"}
}
