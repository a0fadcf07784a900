package core

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// EnvOwner names the owner of what a process takes.
const EnvOwner = "METALPOOL_OWNER"

// DefaultOwner is who owns what this process takes, where nobody else is named:
// METALPOOL_OWNER, else user@host. It is never empty.
func DefaultOwner() string {
	if owner := os.Getenv(EnvOwner); owner != "" {
		return owner
	}
	// A container may run under a user ID that has no name.
	name := "uid" + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	return name + "@" + host
}

// SplitOwner reads OWNER/NAME, as people name somebody's machine: the last slash counts,
// since an owner may have some.
func SplitOwner(word string) (owner, name string, both bool) {
	if i := strings.LastIndexByte(word, '/'); i >= 0 {
		return word[:i], word[i+1:], true
	}
	return "", word, false
}
