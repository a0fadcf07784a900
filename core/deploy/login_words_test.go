package deploy

import (
	"strings"
	"testing"
)

// What is cut off of what a machine says is never a part of a word, which may be a secret.
func TestWordsAreNotCut(t *testing.T) {
	const secret = "hunter2-and-more"
	for before := range 2 * maxWords {
		text := strings.Repeat(".", before) + " " + secret + "\x1b\n end"
		if got := brief(text); len(got) > maxWords+len(" …") || strings.Contains(strings.ReplaceAll(got, secret, ""), "h") {
			t.Fatalf("after %d bytes: %q", before, got)
		}
	}
	if got := brief("\n a \x1b b\t"); got != "a b" {
		t.Errorf("%q", got)
	}
}
