package core

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

func TestSinceMark(t *testing.T) {
	blob := []byte("a public key")
	key := base64.StdEncoding.EncodeToString(blob)
	sum := sha256.Sum256(blob)
	print := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	at := Attempt{ConsoleMarks: []string{ConsoleMark("b1"), ConsoleMark("b2")}, PublicHostKeys: []string{"ssh-ed25519 " + key + " host"}}
	for name, tt := range map[string]struct {
		text, since string
		found       bool
	}{
		"nothing":             {"", "", false},
		"older":               {"of ann\n" + ConsoleMark("b0") + "\nof bob\n", "", false},
		"a mark":              {"of ann\n[1.0] this boot " + ConsoleMark("b2") + "\nof bob\n", "of bob\n", true},
		"the first of two":    {"x\n" + ConsoleMark("b1") + "\none\n" + ConsoleMark("b2") + "\ntwo\n", "one\n" + ConsoleMark("b2") + "\ntwo\n", true},
		"a mark and no more":  {"of ann\n" + ConsoleMark("b1"), "", true},
		"what is on its line": {ConsoleMark("b1") + " and more\nnext\n", "next\n", true},
		"a host key":          {"of ann\nssh-ed25519 " + key + " root@web\nof bob\n", "of bob\n", true},
		"its fingerprint":     {"of ann\n256 " + print + " root@web (ED25519)\nof bob\n", "of bob\n", true},
	} {
		if since, found := sinceMark(tt.text, at.marks()); since != tt.since || found != tt.found {
			t.Errorf("%s: %q, %v", name, since, found)
		}
	}
	for _, bad := range []string{"", "ssh-ed25519", "ssh-ed25519 !", "ssh-ed25519 = x"} {
		if marks := keyMarks([]string{bad}); len(marks) > 0 {
			t.Errorf("%q gives the marks %q", bad, marks)
		}
	}
}

func TestDiscreet(t *testing.T) {
	const instead = "; what its console says is for operators"
	older, own := ending(olderEnds, tail("of \"ann\"\nb")), ending(consoleEnds, tail("of bob"))
	for text, want := range map[string][2]string{ // told to a user, told to a viewer
		"":                                            {"", ""},
		"not done; try again":                         {"not done; try again", "not done; try again"},
		"not done" + own + "; try again":              {"not done" + own + "; try again", "not done" + instead + "; try again"},
		"not done" + older + "; try again":            {"not done" + instead + "; try again", "not done" + instead + "; try again"},
		"(not done" + older + ") x":                   {"(not done" + instead + ") x", "(not done" + instead + ") x"},
		"not done" + older[:len(older)-3]:             {"not done" + instead, "not done" + instead},
		"not done" + olderEnds + "; cut off":          {"not done" + instead, "not done" + instead},
		"a" + older + "; b" + older + "; c":           {"a" + instead + "; c", "a" + instead + "; c"},
		"failed" + ending(logEnds, tail("the agent")): {"failed" + ending(logEnds, tail("the agent")), "failed" + ending(logEnds, tail("the agent"))},
	} {
		for i, got := range []string{Discreet(text, false), Discreet(text, true)} {
			if got != want[i] {
				t.Errorf("%q is told as %q, want %q", text, got, want[i])
			}
		}
	}
}
