package seed

import (
	"errors"
	"fmt"
	"strings"
)

const root = "root"

// checkHostname takes what RFC 1123 does: labels of letters, digits and hyphens.
func checkHostname(name string) error {
	if name == "" {
		return errors.New("no host name")
	}
	if len(name) > 253 {
		return fmt.Errorf("host name of %d characters; the most is 253", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.IndexFunc(label, func(r rune) bool { return !letter(r) && !digit(r) && r != '-' }) >= 0 {
			return fmt.Errorf("%q is not a host name: each of its parts is 1 to 63 letters, digits and hyphens, with no hyphen at its ends", name)
		}
	}
	return nil
}

// checkUser takes what useradd does everywhere.
func checkUser(name string) error {
	if name == "" {
		return errors.New("no login user")
	}
	first := rune(name[0])
	if len(name) > 32 || !letter(first) && first != '_' || strings.ToLower(name) != name ||
		strings.IndexFunc(name, func(r rune) bool { return !letter(r) && !digit(r) && r != '-' && r != '_' }) >= 0 {
		return fmt.Errorf("%q is not a user's name: up to 32 lower-case letters, digits, hyphens and underscores, beginning with a letter or underscore", name)
	}
	return nil
}

func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func digit(r rune) bool  { return r >= '0' && r <= '9' }
