package core

import (
	"fmt"
	"strings"
	"testing"
)

// Of much output the first and the last is kept, and no part of a secret, wherever it
// was cut.
func TestKeptOutput(t *testing.T) {
	const secret = "hunter2-and-more"
	for _, before := range []int{0, 100, int(keptOutput) - 5, int(keptOutput) - len(secret), int(keptOutput)} {
		for _, after := range []int{0, int(keptOutput) - 5, int(keptOutput), 1 << 20} {
			var o output
			fmt.Fprintf(&o, "%s%s\x1b[31m%s", strings.Repeat("a", before), secret, strings.Repeat("z", after))
			text := o.text([]string{secret})
			if strings.Contains(text, "hunt") || strings.Contains(text, "more") || strings.ContainsRune(text, '\x1b') || len(text) > 2*int(keptOutput)+100 {
				t.Errorf("%d before it and %d after: %d bytes, …%q", before, after, len(text), text[max(0, min(len(text), before)-20):min(len(text), before+60)])
			}
		}
	}
}
