package metal

import (
	"runtime"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestPeakMemory(t *testing.T) {
	before, err := PeakMemory("self")
	if err != nil {
		t.Fatal(err)
	}
	const taken = 256 * core.MiB
	held := make([]byte, taken)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	after, err := PeakMemory("self")
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(held)
	if before <= 0 || after < taken || after < before {
		t.Errorf("the peak was %s, and is %s with %s taken", before, after, taken)
	}
	if _, err := PeakMemory("none"); err == nil {
		t.Error("a process that is not there has a peak")
	}
}
