package provider

import (
	"errors"
	"sync"

	"github.com/metalpool/metalpool/core"
)

// claims are what the resources of this apply have begun to create. A create that finds
// what it asks for takes it for what a killed apply has left, and goes on with it. So of
// two resources that ask for the same by mistake, the second would be given what the
// first has just made, and to destroy one would take it from both.
type claims struct{ all sync.Map }

// A machine and an allocation are one thing to the pool, and their names are of one kind.
const (
	aMachine    = "machine"
	aDeployment = "deployment"
	aNode       = "node"
	anImage     = "image"
	aPool       = "pool"
)

// claim refuses what another resource of this apply has asked for already: the one of
// this kind and ID. The name is for people.
func (c *claims) claim(kind, id, name string) error {
	type key struct{ kind, id string }
	if _, twice := c.all.LoadOrStore(key{kind, id}, true); !twice {
		return nil
	}
	return &core.Error{
		Op: "create " + kind, Allocation: name, Kind: core.Exists,
		Err:  errors.New("another resource of this apply asks for the same, and has it already"),
		Hint: "leave one of the two out, or have it ask for another one",
	}
}
