package core

import "errors"

// nodes has nodes be as is said of them. Those that are not there are only told.
func (a *applied) nodes(tx Tx, said []NodeDeclaration) (changes []Declared, err error) {
	if len(said) == 0 {
		return nil, nil
	}
	known, err := knownNodes(tx)
	if err != nil {
		return nil, err
	}
	for _, d := range said {
		change, err := a.nodeOf(tx, known, d)
		if err != nil {
			if err := a.faults.add(kindNode, d.Label(), err); err != nil {
				return nil, err
			}
			continue
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// nodeOf has one node be as is said of it, if it is there.
func (a *applied) nodeOf(tx Tx, known inventory, d NodeDeclaration) (Declared, error) {
	there, found := known.find(d)
	if d.Pool != nil && (!found || *d.Pool != there.Pool) {
		if _, err := findPool(tx, *d.Pool); err != nil {
			if Is(err, NotFound) && a.faults.has(kindPool, *d.Pool) {
				return Declared{}, nil
			}
			if pools, listed := collect(tx.Pools()); listed == nil && Is(err, NotFound) {
				err = &Error{Kind: NotFound, Err: errors.New("no such pool"), Hint: meant(*d.Pool, append(pools, Pool{Name: DefaultPool}), func(p Pool) string { return p.Name }, "metalpool pool list")}
			}
			return Declared{}, inField("declare node "+d.Label(), *d.Pool, err, "pool")
		}
	}
	if !found {
		return Declared{Kind: kindNode, Name: d.Label(), Change: ToEnroll}, nil
	}
	return a.node(tx, there, d)
}

// inventory is the nodes that are there, as declarations name them.
type inventory struct {
	byID  map[NodeID]Node
	byBMC map[string]Node
}

func knownNodes(tx Tx) (inventory, error) {
	all, err := collect(tx.Nodes(NodeFilter{}))
	known := inventory{map[NodeID]Node{}, map[string]Node{}}
	for _, n := range all {
		known.byID[n.ID], known.byBMC[n.Spec.BMC.Host()] = n, n
	}
	return known, err
}

func (i inventory) find(d NodeDeclaration) (Node, bool) {
	if d.ID != "" {
		n, ok := i.byID[d.ID]
		return n, ok
	}
	n, ok := i.byBMC[Endpoint{URL: d.URL}.Host()]
	return n, ok
}

// node has a node that is there be as is said of it.
func (a *applied) node(tx Tx, there Node, said NodeDeclaration) (Declared, error) {
	d := Declared{Kind: kindNode, Name: string(there.ID)}
	there, err := tx.Node(there.ID) // by its key, it stays so until the end
	if err != nil {
		return d, err
	}
	want := there
	if err := said.change(there).of(tx, &want, a.afar); err != nil {
		return d, err
	}
	fields := fieldDifferences(there.Declaration(), want.Declaration())
	other, err := a.engine.newPassword(&want.Spec.BMC, said.Password)
	if err != nil {
		return d, withNode(err, there.ID)
	}
	if other {
		fields = append(fields, "password") // and nothing of it
	}
	d = a.compared(d, fields, there.Spec.DeclaredBy)
	if d.Change == Unchanged {
		return d, nil
	}
	want.Spec.DeclaredBy = a.by
	if err := tx.PutSpec(want); err != nil {
		return d, err
	}
	return d, tx.AddEvent(Event{Node: there.ID, Type: Note, Message: "changed by " + string(a.by), By: a.engine.process})
}

// newPassword keeps another password than the one that is kept, and tells whether it is
// another one.
func (e *Engine) newPassword(at *Endpoint, given *string) (bool, error) {
	if given == nil || *given == "" {
		return false, nil
	}
	ref, literal, err := splitPassword(*given)
	if err != nil || ref != "" && ref == at.PasswordFrom {
		return false, err
	}
	if ref == "" && at.PasswordFrom == "" {
		if kept, err := e.sealer.Open(at.Secret); err == nil && string(kept) == literal {
			return false, nil
		}
	}
	return true, e.keepPassword(at, *given)
}
