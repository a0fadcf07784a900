package guest

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

// edit is one command of a sed script: s, d or p, with an address or none.
type edit struct {
	line  int // 0: any
	last  bool
	match *regexp.Regexp
	verb  byte

	find     *regexp.Regexp
	replace  string
	all, out bool
}

// sed knows s, d and p, with a line number, $ or /pattern/ before them.
func sed(c call, args []string) int {
	set, rest, bad := options(args, "inErz", "e", map[string]byte{"in-place": 'i', "quiet": 'n', "regexp-extended": 'E'})
	if bad != "" {
		return c.unknown(bad)
	}
	script, given := set['e']
	if !given {
		if len(rest) == 0 {
			return c.complain("no script")
		}
		script, rest = rest[0], rest[1:]
	}
	edits, err := parseSed(script, has(set, 'E') || has(set, 'r'))
	if err != nil {
		return c.complain("-e expression: %v", err)
	}
	if !has(set, 'i') {
		return c.inputs(rest, func(_ string, r io.Reader) error {
			text, err := io.ReadAll(io.LimitReader(r, maxHeld))
			c.printf("%s", applySed(edits, string(text), has(set, 'n')))
			return err
		})
	}
	status := 0
	for _, name := range rest {
		at := c.Path(name)
		text, err := c.Files.ReadFile(at)
		if err == nil {
			err = c.Files.WriteFile(at, []byte(applySed(edits, string(text), has(set, 'n'))), 0o644)
		}
		if err != nil {
			status = c.complain("%s: %s", name, shell.Reason(err))
		}
	}
	return status
}

func applySed(edits []edit, text string, quiet bool) string {
	var out strings.Builder
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, whole := range lines {
		line, ended := strings.CutSuffix(whole, "\n")
		end := ""
		if ended {
			end = "\n"
		}
		deleted := false
		for _, e := range edits {
			if e.line > 0 && e.line != i+1 || e.last && i != len(lines)-1 || e.match != nil && !e.match.MatchString(line) {
				continue
			}
			switch e.verb {
			case 'd':
				deleted = true
			case 'p':
				out.WriteString(line + "\n")
			case 's':
				if at := e.find.FindStringSubmatchIndex(line); at != nil {
					line = e.substitute(line, at)
					if e.out {
						out.WriteString(line + "\n")
					}
				}
			}
			if deleted {
				break
			}
		}
		if !deleted && !quiet {
			out.WriteString(line + end)
		}
	}
	return out.String()
}

func (e edit) substitute(line string, first []int) string {
	if e.all {
		return e.find.ReplaceAllString(line, e.replace)
	}
	return line[:first[0]] + string(e.find.ExpandString(nil, e.replace, line, first)) + line[first[1]:]
}

var errSed = errors.New("the lab's sed knows only s, d and p")

func parseSed(script string, extended bool) ([]edit, error) {
	regex := func(text string) (*regexp.Regexp, error) {
		if !extended {
			text = basic(text)
		}
		return compile(text)
	}
	var list []edit
	for rest := strings.TrimLeft(script, "; \n\t"); rest != ""; rest = strings.TrimLeft(rest, "; \n\t") {
		var e edit
		var err error
		switch digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); {
		case digits > 0:
			if e.line, err = strconv.Atoi(rest[:digits]); err != nil || e.line == 0 {
				return nil, errors.New("invalid line number")
			}
			rest = rest[digits:]
		case rest[0] == '$':
			e.last, rest = true, rest[1:]
		case rest[0] == '/':
			parts, after, ok := delimited(rest, 1)
			if !ok {
				return nil, errors.New("unterminated address")
			}
			if e.match, err = regex(parts[0]); err != nil {
				return nil, err
			}
			rest = after
		}
		if rest == "" {
			return nil, errSed
		}
		e.verb = rest[0]
		rest = rest[1:]
		switch e.verb {
		case 'd', 'p':
		case 's':
			parts, after, ok := delimited(rest, 2)
			if !ok {
				return nil, errors.New("unterminated `s' command")
			}
			flags := after[:len(after)-len(strings.TrimLeft(after, "gpiI"))]
			rest = after[len(flags):]
			e.all, e.out = strings.Contains(flags, "g"), strings.Contains(flags, "p")
			if e.find, err = regex(parts[0]); err != nil {
				return nil, err
			}
			if strings.ContainsAny(flags, "iI") {
				e.find = regexp.MustCompile("(?i)" + e.find.String())
			}
			e.replace = replacement(parts[1])
		default:
			return nil, fmt.Errorf("%w, not %c", errSed, e.verb)
		}
		if after := strings.TrimLeft(rest, " \t"); after != "" && after[0] != ';' && after[0] != '\n' {
			return nil, errors.New("extra characters after command")
		}
		list = append(list, e)
	}
	return list, nil
}

// delimited reads n parts, of which the first character is the delimiter.
func delimited(text string, n int) (parts []string, rest string, ok bool) {
	if text == "" {
		return nil, "", false
	}
	by := text[0]
	var part strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			if text[i] != by {
				part.WriteByte('\\')
			}
			part.WriteByte(text[i])
		case text[i] == by:
			parts = append(parts, part.String())
			part.Reset()
			if len(parts) == n {
				return parts, text[i+1:], true
			}
		default:
			part.WriteByte(text[i])
		}
	}
	return nil, "", false
}

// replacement turns sed's & and \1 into Go's ${0} and ${1}.
func replacement(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '&':
			out.WriteString("${0}")
		case text[i] == '$':
			out.WriteString("$$")
		case text[i] == '\\' && i+1 < len(text):
			i++
			switch b := text[i]; {
			case b >= '0' && b <= '9':
				fmt.Fprintf(&out, "${%c}", b)
			case b == 'n':
				out.WriteByte('\n')
			case b == 't':
				out.WriteByte('\t')
			default:
				out.WriteByte(b)
			}
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String()
}
