package deploy

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzFollowed reads what a machine may say of a script.
func FuzzFollowed(f *testing.F) {
	for _, seed := range []string{"ended 0 3 6\nonetwo", "none 0 0 0", "runs 0 0 0\n", "unknown 0 0 0", "ended -7 99999999999999999999 0\n", "ended 0 -1 -9223372036854775808\nabc", "ended 0 9223372036854775807 9223372036854775807\nabc", "\x00 \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, said, _ := strings.Cut(text, "\n")
		is, err := parseFollowed(line, said)
		if err != nil {
			return
		}
		if string(is.head)+string(is.tail) != said {
			t.Errorf("of %q the head is %q and the tail %q", said, is.head, is.tail)
		}
		var heard bytes.Buffer
		is.tell(&heard)
		if heard.String() != said {
			t.Errorf("of %q it tells %q", said, heard.String())
		}
	})
}
