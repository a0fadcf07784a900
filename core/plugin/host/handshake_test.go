package host

import (
	"strings"
	"testing"
)

// FuzzHandshake reads what a program may say that is to be a plugin.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{"", "1|1|unix|/tmp/x|grpc|abc", "1|2|tcp|127.0.0.1:1|grpc", "1|x|unix|/tmp/x|grpc", "||||grpc", "1|1|unix|/tmp/x|netrpc", "hello\x1b[31m", "panic: boom", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if speaks, err := version(text); err == nil && strings.Count(text, "|") < 4 {
			t.Errorf("it speaks version %d", speaks)
		}
		c := complaint{to: newSaid(t.Context(), new(strings.Builder))}
		if _, err := c.Write([]byte(text)); err != nil || !strings.Contains(text, c.last()) {
			t.Errorf("it complains of %q, %v", c.last(), err)
		}
	})
}
