package core

import (
	"strings"
)

// WWN is a disk's world wide name in one spelling: 16 or 32 hex digits in lower
// case. BMCs, kernels and labels write the same name as naa.5000C500A1B2C3D4,
// 0x5000c500a1b2c3d4 or 50:00:c5:00:a1:b2:c3:d4, and some put an EUI where they
// announce an NAA, so the prefix tells nothing. Junk (all digits the same) is "".
// What is no such name stays as it is, without blanks around it.
func WWN(text string) string {
	text = strings.TrimSpace(text)
	bare := strings.ToLower(text)
	for _, prefix := range []string{"wwn-", "naa.", "eui.", "nguid.", "uuid.", "0x"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	bare = strings.NewReplacer(" ", "", ":", "", "-", "").Replace(bare)
	if len(bare) != 16 && len(bare) != 32 || strings.Trim(bare, "0123456789abcdef") != "" {
		return text
	}
	if oneCharacter(bare) {
		return ""
	}
	return bare
}
