package core

import "slices"

// sealedValue is one secret of a store. What is sealed of a node, an allocation or an
// attempt is listed here, and only here: what is missing would be lost when the key is
// changed. TestEverySealedValueIsKnown sees to it.
type sealedValue struct {
	what  string // for people
	value *Sealed
}

func (n *Node) sealed() []sealedValue {
	return []sealedValue{{"the BMC's password", &n.Spec.BMC.Secret}}
}

func (a *Allocation) sealed() (all []sealedValue) {
	if a.Order != nil {
		all = append(all, sealedValue{"the user data", &a.Order.UserData}, sealedValue{"the post_deploy script", &a.Order.PostDeploy})
	}
	if a.Login != nil {
		all = append(all, sealedValue{"the management key", &a.Login.Private})
	}
	return all
}

func (at *Attempt) sealed() []sealedValue {
	all := []sealedValue{{"the SSH host keys", &at.HostKeys}, {"the fragments for cloud-init", &at.Fragments}}
	if at.Login != nil {
		all = append(all, sealedValue{"the management key", &at.Login.Private})
	}
	if at.Boot != nil {
		all = append(all, sealedValue{"the keys of its ramdisk", &at.Boot.Secret})
	}
	return all
}

func (a *Authority) sealed() []sealedValue {
	return []sealedValue{{"the key of the servers' CA", &a.Key}}
}

func keeps(all []sealedValue) bool {
	return slices.ContainsFunc(all, func(s sealedValue) bool { return len(*s.value) > 0 })
}

func (a *Allocation) keepsSecrets() bool { return keeps(a.sealed()) }
func (at *Attempt) keepsSecrets() bool   { return keeps(at.sealed()) }

// secrets checks that the key opens what is sealed, and that nothing is kept that
// opens nothing any more.
func (c *checkup) secrets(open func(Sealed) error) {
	look := func(all []sealedValue, n NodeID, a AllocationID, next string) {
		for _, s := range all {
			if len(*s.value) == 0 {
				continue
			}
			if err := open(*s.value); err != nil {
				c.add(invariantSecrets, n, a, next, "%s cannot be read: %s", s.what, cause(err))
			}
		}
	}
	for i := range c.nodes {
		n := &c.nodes[i]
		look(n.sealed(), n.ID, "", "set it again: 'metalpool node set "+string(n.ID)+" --password'")
	}
	for i := range c.authorities {
		look(c.authorities[i].sealed(), "", "", "restore a backup; else servers show a certificate of your own with 'metalpool serve --tls-cert'")
	}
	for i := range c.live {
		a := &c.live[i]
		look(a.sealed(), a.Node, a.ID, "deploy the machine anew, or release it")
	}
	for _, at := range c.attempts {
		if at.EndedAt.IsZero() {
			look(at.sealed(), at.Node, at.Allocation, "its work starts its ramdisk anew once that is given up: 'metalpool reconcile --abandon-deploys'")
		} else if at.keepsSecrets() {
			c.add(invariantSecrets, at.Node, at.Allocation, nextReport, "the attempt %s has ended and keeps its secrets", at.ID)
		}
	}
	for i := range c.ended {
		c.add(invariantSecrets, c.ended[i].Node, c.ended[i].ID, nextReport, "it is %s and keeps its secrets", c.ended[i].State)
	}
}
