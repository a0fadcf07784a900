package disk

import (
	"encoding/hex"
	"strings"
	"testing"
)

// unhex reads bytes as records have them: hex, with blanks and line ends between.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
