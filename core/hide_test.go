package core

import (
	"strings"
	"testing"
)

// FuzzSecretsInALine: whatever a secret is, none of it that is shown is left in a line which
// tells of it.
func FuzzSecretsInALine(f *testing.F) {
	for _, secret := range []string{"hunter2", "hun\tter2", "  hun \x00\x1b[31m ter2\r\n", "hun\r\n\tter2", "hun\u2028ter2", "hun\xffter2"} {
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		known := bare(secret).text
		if len(known) < shortestSecret || strings.Contains("(secret)…", known) {
			return
		}
		var o output
		_, _ = o.Write([]byte("> " + secret + " <"))
		for _, line := range []string{o.soFar(sayable(secret)), lastSaid(o.text(sayable(secret))), strings.Join(strings.Fields(o.text(sayable(secret))), " ")} {
			if strings.Contains(bare(line).text, known) {
				t.Errorf("%q is told in %q", secret, line)
			}
		}
	})
}
