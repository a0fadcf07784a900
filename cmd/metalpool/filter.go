package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// statesFlag is a list of states, in any case. It is checked while the command
// line is read, before any pool is opened.
type statesFlag struct {
	known []core.State
	asked []core.State
}

// Set implements pflag.Value; the flag may be repeated.
func (s *statesFlag) Set(text string) error {
next:
	for word := range strings.SplitSeq(text, ",") {
		for _, state := range s.known {
			if strings.EqualFold(strings.TrimSpace(word), string(state)) {
				s.asked = append(s.asked, state)
				continue next
			}
		}
		return fmt.Errorf("%q is none of %s", word, strings.Join(stateNames(s.known), ", "))
	}
	return nil
}

func (s *statesFlag) String() string { return strings.Join(stateNames(s.asked), ",") }

// Type implements pflag.Value.
func (s *statesFlag) Type() string { return "states" }

func (s *statesFlag) add(cmd *cobra.Command, known []core.State, usage string) {
	s.known = known
	cmd.Flags().Var(s, "state", usage)
	complete(cmd, "state", stateNames(known)...)
}

func stateNames(states []core.State) []string {
	return names(states, func(s core.State) string { return string(s) })
}

// selectorsFlag is conditions on labels, checked like statesFlag.
type selectorsFlag struct {
	text      string
	selectors []core.Selector
}

// Set implements pflag.Value.
func (s *selectorsFlag) Set(text string) (err error) {
	s.text = text
	s.selectors, err = core.ParseSelectors(text)
	return err
}

func (s *selectorsFlag) String() string { return s.text }

// Type implements pflag.Value.
func (s *selectorsFlag) Type() string { return "selectors" }

// nodeFilter is which nodes to show.
type nodeFilter struct {
	pool   string
	states statesFlag
	labels selectorsFlag
}

func (f *nodeFilter) add(cmd *cobra.Command, a *app) {
	cmd.Flags().StringVar(&f.pool, "pool", "", "only nodes of this `pool`")
	f.states.add(cmd, core.NodeStates, "only nodes in these `states`, such as Available,Quarantined")
	cmd.Flags().Var(&f.labels, "label", "only nodes whose labels meet these `conditions`: rack=r1,zone in (a,b)")
	completeWith(cmd, "pool", a, poolNames)
}

// some reports whether nodes may have been left out.
func (f *nodeFilter) some() bool {
	return f.pool != "" || len(f.states.asked) > 0 || len(f.labels.selectors) > 0
}

// nodes lists the nodes that fit.
func (f *nodeFilter) nodes(ctx context.Context, e core.Operator) ([]core.Node, error) {
	all, err := e.Nodes(ctx, core.NodeFilter{Pool: f.pool, States: f.states.asked})
	if err != nil {
		return nil, err
	}
	fit := all[:0]
	for _, n := range all {
		if core.Mismatch(n, core.Request{Labels: f.labels.selectors}) == "" {
			fit = append(fit, n)
		}
	}
	return fit, nil
}
