//go:build bench

package cost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab/bmc"
)

// table is what a number was spent on, for people.
type table struct {
	text strings.Builder
	*tabwriter.Writer
}

func newTable(title string, columns ...string) *table {
	t := &table{}
	fmt.Fprintf(&t.text, "%s:\n", title)
	t.Writer = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  "+strings.Join(columns, "\t"))
	return t
}

func (t *table) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case time.Duration:
			text[i] = fmt.Sprintf("%.1f ms", c.Seconds()*1000)
		default:
			text[i] = fmt.Sprint(c)
		}
	}
	fmt.Fprintln(t, "  "+strings.Join(text, "\t"))
}

func (t *table) show(test *testing.T) {
	test.Helper()
	try(test, t.Flush())
	bench.Tell(test, t.text.String())
}

// verbs spells counts of requests.
func verbs(counts map[bmc.Verb]int) string {
	var text []string
	for _, v := range slices.Sorted(maps.Keys(counts)) {
		if counts[v] > 0 {
			text = append(text, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	return strings.Join(text, ", ")
}
