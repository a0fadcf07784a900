package main

import (
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Help and docs/timeouts.md name the timeouts that count where a pool sets none.
func TestDefaultTimeoutsAreDocumented(t *testing.T) {
	help := command(t, "pool", "set", "--help").stdout
	docs, err := os.ReadFile("../../docs/timeouts.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := core.Timeouts{}.OrDefaults()
	for _, row := range timeoutRows(&defaults) {
		if row.about == "" || *row.value == 0 {
			t.Errorf("%s has no default or is not explained", row.name)
		}
		if !strings.Contains(help, core.FormatDuration(*row.value)+"  "+row.about) {
			t.Errorf("help does not say that %s is %s", row.name, core.FormatDuration(*row.value))
		}
		if want := "| `" + row.name + "` | " + core.FormatDuration(*row.value) + " |"; !strings.Contains(string(docs), want) {
			t.Errorf("docs/timeouts.md has no row %s", want)
		}
	}
}
