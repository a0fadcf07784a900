//go:build linux

package main_test

import "testing"

// TestImportOfNothing: who gives an empty ID, as by a variable that is not set, is told so.
func TestImportOfNothing(t *testing.T) {
	t.Parallel()
	r := bareRig(t, 1)
	for address, config := range map[string]string{
		"metalpool_machine.web":    machineBlock("web-1"),
		"metalpool_allocation.web": allocationBlock("web-1"),
		"metalpool_pool.p":         "resource \"metalpool_pool\" \"p\" {\n name = \"ci\"\n}\n",
	} {
		w := r.newWork(t, config)
		out, err := w.command(t, "import", "-no-color", address, "").CombinedOutput()
		if err == nil {
			t.Errorf("%s: nothing was imported", address)
		}
		says(t, string(out), "Could not import", "its ID is empty", "What to do: give")
	}
}
