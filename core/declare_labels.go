package core

import (
	"maps"
	"slices"
)

// warnOfLabels adds to what becomes of steps that these are for servers of labels which no
// node has: a slip, as a rule, by which the step is done to nobody and nobody is told. A
// pool without nodes is not there yet. What servers are made by whom is not looked at:
// those that are yet to be enrolled have not said so.
func warnOfLabels(tx Tx, said []Declaration, changes []Declared) error {
	var nodes []map[string]string
	steps := changedSteps(changes)
	for _, d := range said {
		for _, s := range d.Steps {
			if s.Only == nil || len(s.Only.Labels) == 0 {
				continue
			}
			if nodes == nil {
				var err error
				if nodes, err = labelled(tx, said); err != nil || len(nodes) == 0 {
					return err
				}
			}
			if d, there := steps[s.Name]; there {
				d.warnOfLabels(s.Only.Labels, nodes)
			}
		}
	}
	return nil
}

// labelled are the labels of each node, also of those that are to be enrolled.
func labelled(tx Tx, said []Declaration) (nodes []map[string]string, err error) {
	known, err := knownNodes(tx)
	if err != nil {
		return nil, err
	}
	for _, n := range known.byID {
		nodes = append(nodes, n.Spec.Labels)
	}
	for _, d := range said {
		for _, n := range d.Nodes {
			if _, there := known.find(n); !there {
				nodes = append(nodes, n.Labels)
			}
		}
	}
	return nodes, nil
}

// warnOfLabels says which label it is that no node has.
func (d *Declared) warnOfLabels(wanted map[string]string, nodes []map[string]string) {
	fits := func(labels map[string]string) bool {
		for name, value := range wanted {
			if labels[name] != value {
				return false
			}
		}
		return true
	}
	if slices.ContainsFunc(nodes, fits) {
		return
	}
	path := []string{"only", "labels"}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		names, values := map[string]bool{}, map[string]bool{}
		for _, labels := range nodes {
			for n := range labels {
				names[n] = true
			}
			if value, has := labels[name]; has {
				values[value] = true
			}
		}
		itself := func(s string) string { return s }
		switch {
		case len(values) == 0:
			d.warn(append(path, name), "no node has this label, so that the step is for none; %s", meant(name, slices.Sorted(maps.Keys(names)), itself, "metalpool node list"))
			return
		case !values[wanted[name]]:
			d.warn(append(path, name), "on no node is it %q, so that the step is for none; %s", wanted[name], meant(wanted[name], slices.Sorted(maps.Keys(values)), itself, "metalpool node list"))
			return
		}
	}
	d.warn(path, "no node has all of them, so that the step is for none")
}
