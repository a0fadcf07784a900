package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/deploy/wire"
)

func TestJournalKeepsTheLastLines(t *testing.T) {
	var j Journal
	if got := j.Text(); got != "" {
		t.Errorf("an empty journal holds %q", got)
	}
	var all strings.Builder
	for n := 0; all.Len() < 5*wire.MaxLog; n++ {
		line := fmt.Sprintf("line %d\n", n)
		all.WriteString(line)
		if _, err := j.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		got := j.Text()
		if !strings.HasSuffix(all.String(), got) || !strings.HasPrefix(got, "line ") || len(got) > wire.MaxLog {
			t.Fatalf("after %q it holds %d bytes that begin with %.20q", line, len(got), got)
		}
		if all.Len() > wire.MaxLog && len(got) < wire.MaxLog-len("line 99999\n") {
			t.Fatalf("after %q it holds %d bytes only", line, len(got))
		}
	}
}
