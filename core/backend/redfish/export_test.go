package redfish

import (
	"slices"
	"testing"
)

// QuirkNames are the rows of the table.
func QuirkNames() []string {
	var names []string
	for _, q := range quirks {
		names = append(names, q.Name)
	}
	return names
}

// DropQuirk takes a row out of the table until the test ends.
func DropQuirk(t *testing.T, name string) {
	all := quirks
	t.Cleanup(func() { quirks = all })
	quirks = slices.DeleteFunc(slices.Clone(quirks), func(q quirk) bool { return q.Name == name })
	if len(quirks) == len(all) {
		t.Fatalf("there is no quirk %q", name)
	}
}
