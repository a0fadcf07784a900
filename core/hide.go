package core

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
)

const hidden = "(secret)"

// hide takes secrets out of a text.
func hide(text string, secrets []string) string { return hideCut(text, secrets, false, false) }

// hideCut is hide for a text that may be cut in the middle of a secret, at its beginning or
// at its end. Of secrets that have something in common there all is taken out as one: what
// was left of the other would tell of it.
func hideCut(text string, secrets []string, atBeginning, atEnd bool) string {
	return without(text, hidden, extents(text, secrets, atBeginning, atEnd))
}

// extent is where in a text something is, in bytes.
type extent struct{ from, to int }

// without is a text with a word in place of each extent, those that overlap taken for one.
func without(text, word string, all []extent) string {
	slices.SortFunc(all, func(a, b extent) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	var b strings.Builder
	told := 0
	for _, next := range all {
		if next.from >= told {
			b.WriteString(text[told:next.from] + word)
		}
		told = max(told, next.to)
	}
	return b.String() + text[told:]
}

// extents are where secrets are in a text, which may be cut. One with blanks, or with
// characters that are not shown, is looked for without those as well: lines are joined and
// indented, and control characters left out, or made spaces, by whoever tells of a text.
func extents(text string, secrets []string, atBeginning, atEnd bool) (found []extent) {
	var shown bared
	for _, s := range secrets {
		found = append(found, extentsOf(text, s, atBeginning, atEnd)...)
		known := bare(s).text
		if known == s || len(known) < shortestSecret {
			continue
		}
		if shown.at == nil {
			shown = bare(text)
		}
		for _, at := range extentsOf(shown.text, known, atBeginning, atEnd) {
			found = append(found, extent{shown.at[at.from], shown.at[at.to-1] + 1})
		}
	}
	return found
}

func extentsOf(text, s string, atBeginning, atEnd bool) (found []extent) {
	for from := 0; s != ""; {
		at := strings.Index(text[from:], s)
		if at < 0 {
			break
		}
		found = append(found, extent{from + at, from + at + len(s)})
		from += at + 1
	}
	half := func(cut bool, is func(n int) bool) int {
		for n := min(len(s)-1, len(text)); cut && n > 0; n-- {
			if is(n) {
				return n
			}
		}
		return 0
	}
	if n := half(atBeginning, func(n int) bool { return strings.HasPrefix(text, s[len(s)-n:]) }); n > 0 {
		found = append(found, extent{0, n})
	}
	if n := half(atEnd, func(n int) bool { return strings.HasSuffix(text, s[:n]) }); n > 0 {
		found = append(found, extent{len(text) - n, len(text)})
	}
	return found
}

// bared is a text without blanks and what is not shown, and where each of its bytes was.
type bared struct {
	text string
	at   []int
}

func bare(text string) bared {
	b := bared{at: []int{}}
	var kept strings.Builder
	for i, r := range text {
		if r == ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			continue
		}
		n, _ := kept.WriteRune(r)
		for j := range n {
			b.at = append(b.at, i+j)
		}
	}
	b.text = kept.String()
	return b
}

// sayable are a secret and what programs make of it: of one that has several lines each by
// itself, and all in one; what templates and addresses escape; and all of it as it is shown.
func sayable(secret string) []string {
	all := []string{secret, strings.TrimSpace(secret)}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= tellingLine && line != secret {
			all = append(all, line)
		}
	}
	quoted, _ := json.Marshal(secret) // a text can be
	gos := strconv.Quote(secret)
	all = append(all, strings.Join(strings.Fields(secret), " "), strings.ReplaceAll(secret, "\n", `\n`), string(quoted[1:len(quoted)-1]), gos[1:len(gos)-1],
		url.QueryEscape(secret), url.PathEscape(secret), (&url.URL{Path: "/" + secret}).EscapedPath()[1:], template.HTMLEscapeString(secret), template.JSEscapeString(secret))
	for _, s := range slices.Clone(all) {
		for _, shown := range []string{printable(s), onConsole(s)} {
			if shown != s {
				all = append(all, shown)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// tellingLine is the shortest line of a secret that tells anything, in bytes.
const tellingLine = 8

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// onConsole is what a console shows of a text.
func onConsole(text string) string { return string(new(ConsoleFilter).Clean(nil, []byte(text))) }
