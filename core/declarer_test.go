package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Two files of one name are told apart by where they are, and one that says its name is
// not.
func TestFilesOfOneName(t *testing.T) {
	here, there, named := core.DeclaredAt("/here/rack.yaml"), core.DeclaredAt("/there/rack.yaml"), core.DeclaredIn("rack.yaml")
	for _, tt := range []struct {
		what        string
		first, next core.Declarer
		refused     string // of a change, and of a removal; "" is that both are done
		kept        core.Declarer
	}{
		{"the same file", here, here, "", here},
		{"another place", here, there, "step a is declared by file:/here/rack.yaml", here},
		{"a name of its own, and that from anywhere", named, named, "", named},
		{"kept without its place", named, here, "", here},
		{"applied by its name alone", here, named, "", here},
		{"another name", here, core.DeclaredAt("/here/site.yaml"), "step a is declared by file:/here/rack.yaml", here},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := newPool(t, 0)
			e, _ := p.engine()
			apply := func(by core.Declarer, o core.ApplyOptions, steps ...core.Step) ([]core.Declared, error) {
				return e.Apply(t.Context(), core.Declaration{By: by, Steps: steps}, o)
			}
			if _, err := apply(tt.first, core.ApplyOptions{}, script("a", "true"), script("b", "true")); err != nil {
				t.Fatal(err)
			}
			// What stays as it is, nobody is refused.
			if _, err := apply(tt.next, core.ApplyOptions{}, script("a", "true"), script("b", "true")); err != nil {
				t.Fatal(err)
			}
			if s, err := e.Step(t.Context(), "a"); err != nil || s.DeclaredBy != tt.kept {
				t.Errorf("it is kept as %q, %v; want %q", s.DeclaredBy, err, tt.kept)
			}
			_, err := apply(tt.next, core.ApplyOptions{}, script("a", "false"), script("b", "false"))
			if tt.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else if !core.Is(err, core.Exists) || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("it is changed: %v", err)
			}
			if namesakes := tt.refused != "" && tt.first.Name() == tt.next.Name(); err != nil && strings.Contains(err.Error(), "and this is "+string(tt.next)) != namesakes {
				t.Errorf("%v", err)
			}

			less := core.ApplyOptions{Prune: true}
			changes, err := apply(tt.next, less)
			steps, listing := e.Steps(t.Context())
			if listing != nil {
				t.Fatal(listing)
			}
			switch {
			case tt.first.Name() != tt.next.Name(): // none of its own
				if err != nil || len(changes) != 0 || len(steps) != 2 {
					t.Errorf("%d steps, %+v, %v", len(steps), changes, err)
				}
			case tt.refused == "":
				if err != nil || len(changes) != 2 || len(steps) != 0 {
					t.Errorf("%d steps, %+v, %v", len(steps), changes, err)
				}
			default:
				if !core.Is(err, core.Exists) || !strings.Contains(err.Error(), tt.refused) || len(steps) != 2 {
					t.Errorf("%d steps, %v", len(steps), err)
				}
				less.TakeOver = true
				if changes, err := apply(tt.next, less); err != nil || len(changes) != 2 {
					t.Errorf("of a file that has moved: %+v, %v", changes, err)
				}
			}
		})
	}
}

// Of a whole rack that another file has declared the first are named, and the rest counted.
func TestManyThingsOfOthers(t *testing.T) {
	var changes []core.Declared
	for i := range 1000 {
		changes = append(changes, core.Declared{Kind: "node", Name: fmt.Sprintf("n%d", i), From: core.DeclaredAt("/old/rack.yaml")})
	}
	err := core.DeclaredByOthers(changes, core.Declaration{By: core.DeclaredAt("/new/rack.yaml")})
	if text := err.Error(); len(text) > 2000 || !strings.Contains(text, "node n19 is declared by file:/old/rack.yaml, and 980 more are declared by others, and this is file:/new/rack.yaml") {
		t.Errorf("it says %d bytes: %.1500s", len(text), text)
	}
}
