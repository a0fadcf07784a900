package guest

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/shell"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

var textPrograms = map[string]program{"cat": cat, "tee": tee, "head": head, "tail": tail, "wc": wc, "sort": sortLines, "grep": grep, "sed": sed}

// maxLine bounds what a filter holds of one line.
const maxLine = 4 << 20

// maxHeld bounds what tail, sort and sed -i hold.
const maxHeld = 64 << 20

func cat(c call, args []string) int {
	_, rest, bad := options(args, "u", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	return c.inputs(rest, func(_ string, r io.Reader) error {
		_, err := io.Copy(onlyWriter{c.Out}, r)
		return err
	})
}

// onlyWriter hides ReadFrom, so that io.Copy holds no lock of the writer while it
// waits for input.
type onlyWriter struct{ io.Writer }

func tee(c call, args []string) int {
	set, rest, bad := options(args, "ai", "", map[string]byte{"append": 'a'})
	if bad != "" {
		return c.unknown(bad)
	}
	flag := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if has(set, 'a') {
		flag = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	status := 0
	out := []io.Writer{c.Out}
	var files []*vfs.File
	for _, name := range rest {
		f, err := c.Files.Open(c.Path(name), flag, 0o644)
		if err != nil {
			status = c.complain("%s: %s", name, shell.Reason(err))
			continue
		}
		files = append(files, f)
		out = append(out, f)
	}
	if _, err := io.Copy(onlyWriter{io.MultiWriter(out...)}, c.In); err != nil {
		status = c.complain("write error: %s", shell.Reason(err))
	}
	for i, f := range files {
		if err := f.Close(); err != nil {
			status = c.complain("%s: %s", rest[i], shell.Reason(err))
		}
	}
	return status
}

// lines calls fn with each line, its newline left out, until it returns false.
func eachLine(r io.Reader, fn func(line string) bool) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLine)
	for scan.Scan() {
		if !fn(scan.Text()) {
			return nil
		}
	}
	return scan.Err()
}

// countOption reads the -n or -c of head and tail, which may also be written as -5.
func countOption(c call, args []string) (n int, bytes bool, rest []string, ok bool) {
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if n, err := strconv.Atoi(args[0][1:]); err == nil {
			return n, false, args[1:], true
		}
	}
	set, rest, bad := options(args, "q", "nc", map[string]byte{"lines": 'n', "bytes": 'c'})
	value := cmp.Or(set['n'], "10")
	if bytes = has(set, 'c'); bytes {
		value = set['c']
	}
	n, err := strconv.Atoi(value)
	if bad != "" || err != nil || n < 0 || bytes && has(set, 'n') || strings.HasPrefix(value, "+") {
		c.complain("only -n NUMBER and -c NUMBER are known in the lab")
		return 0, false, nil, false
	}
	return n, bytes, rest, true
}

func head(c call, args []string) int {
	n, bytes, rest, ok := countOption(c, args)
	if !ok {
		return 1
	}
	return c.inputs(rest, func(_ string, r io.Reader) error {
		left := n
		if left == 0 {
			return nil
		}
		if bytes {
			_, err := io.Copy(onlyWriter{c.Out}, io.LimitReader(r, int64(n)))
			return err
		}
		return eachLine(r, func(line string) bool {
			c.printf("%s\n", line)
			left--
			return left > 0
		})
	})
}

func tail(c call, args []string) int {
	n, bytes, rest, ok := countOption(c, args)
	if !ok {
		return 1
	}
	return c.inputs(rest, func(_ string, r io.Reader) error {
		if bytes {
			return c.tailBytes(r, min(n, maxHeld))
		}
		var last []string
		err := eachLine(r, func(line string) bool {
			last = append(last, line)
			if len(last) > n {
				last = last[1:]
			}
			return true
		})
		for _, line := range last {
			c.printf("%s\n", line)
		}
		return err
	})
}

// tailBytes holds no more than twice of what it is to print.
func (c call) tailBytes(r io.Reader, n int) error {
	var last []byte
	buffer := make([]byte, 32<<10)
	for {
		read, err := r.Read(buffer)
		last = append(last, buffer[:read]...)
		if over := len(last) - n; over > 0 && (err != nil || len(last) > 2*n+len(buffer)) {
			last = append(last[:0], last[over:]...)
		}
		if err == nil {
			continue
		}
		if _, failed := c.Out.Write(last); failed != nil {
			return failed
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
}

func wc(c call, args []string) int {
	set, rest, bad := options(args, "lwc", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	return c.inputs(rest, func(name string, r io.Reader) error {
		var numbers []string
		text, err := io.ReadAll(io.LimitReader(r, maxHeld))
		for _, of := range []struct {
			flag byte
			n    int
		}{{'l', strings.Count(string(text), "\n")}, {'w', len(strings.Fields(string(text)))}, {'c', len(text)}} {
			if len(set) == 0 || has(set, of.flag) {
				numbers = append(numbers, strconv.Itoa(of.n))
			}
		}
		if len(rest) > 0 {
			numbers = append(numbers, name)
		}
		c.printf("%s\n", strings.Join(numbers, " "))
		return err
	})
}

func sortLines(c call, args []string) int {
	set, rest, bad := options(args, "runV", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	var all []string
	status := c.inputs(rest, func(_ string, r io.Reader) error {
		return eachLine(io.LimitReader(r, maxHeld), func(line string) bool {
			all = append(all, line)
			return true
		})
	})
	slices.SortFunc(all, func(a, b string) int {
		if has(set, 'n') {
			x, _ := strconv.ParseFloat(strings.TrimSpace(a), 64)
			y, _ := strconv.ParseFloat(strings.TrimSpace(b), 64)
			if x != y {
				return cmp.Compare(x, y)
			}
		}
		return strings.Compare(a, b)
	})
	if has(set, 'u') {
		all = slices.Compact(all)
	}
	if has(set, 'r') {
		slices.Reverse(all)
	}
	for _, line := range all {
		c.printf("%s\n", line)
	}
	return status
}

func grep(c call, args []string) int {
	set, rest, bad := options(args, "qvixcEFnosh", "e", map[string]byte{"quiet": 'q'})
	if bad != "" {
		return c.unknown(bad)
	}
	pattern, given := set['e']
	if !given {
		if len(rest) == 0 {
			c.complain("no pattern")
			return 2
		}
		pattern, rest = rest[0], rest[1:]
	}
	rx, err := lineRegexp(pattern, set)
	if err != nil {
		c.complain("%v", err)
		return 2
	}
	found := false
	status := c.inputs(rest, func(name string, r io.Reader) error {
		n, number := 0, 0
		err := eachLine(r, func(line string) bool {
			number++
			if rx.MatchString(line) == has(set, 'v') {
				return true
			}
			found = true
			n++
			switch {
			case has(set, 'q'):
				return false
			case has(set, 'c'):
				return true
			case has(set, 'o'):
				line = strings.Join(rx.FindAllString(line, -1), "\n")
			}
			if has(set, 'n') {
				line = strconv.Itoa(number) + ":" + line
			}
			if len(rest) > 1 && !has(set, 'h') {
				line = name + ":" + line
			}
			c.printf("%s\n", line)
			return true
		})
		if has(set, 'c') {
			c.printf("%d\n", n)
		}
		return err
	})
	switch {
	case found:
		return 0
	case status != 0:
		return 2
	}
	return 1
}

func lineRegexp(pattern string, set map[byte]string) (*regexp.Regexp, error) {
	switch {
	case has(set, 'F'):
		pattern = regexp.QuoteMeta(pattern)
	case !has(set, 'E'):
		pattern = basic(pattern)
	}
	if has(set, 'x') {
		pattern = "^(?:" + pattern + ")$"
	}
	if has(set, 'i') {
		pattern = "(?i)" + pattern
	}
	return compile(pattern)
}

func compile(pattern string) (*regexp.Regexp, error) {
	rx, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errors.New("invalid regular expression")
	}
	return rx, nil
}

// basic turns a POSIX basic regular expression with GNU's additions into Go's
// syntax: there ( ) { } + ? | are literal unless a backslash stands before them, and
// a * that begins is, too.
func basic(pattern string) string {
	var out strings.Builder
	start := true
	for i := 0; i < len(pattern); i++ {
		b := pattern[i]
		switch {
		case b == '[':
			end := i + 1
			if end < len(pattern) && pattern[end] == '^' {
				end++
			}
			if end < len(pattern) && pattern[end] == ']' {
				end++
			}
			for end < len(pattern) && pattern[end] != ']' {
				if strings.HasPrefix(pattern[end:], "[:") {
					if n := strings.Index(pattern[end:], ":]"); n > 0 {
						end += n + 1
					}
				}
				end++
			}
			set := pattern[i:min(end+1, len(pattern))]
			out.WriteString(strings.ReplaceAll(set, `\`, `\\`))
			i = end
		case b == '\\' && i+1 < len(pattern):
			i++
			if strings.IndexByte("(){}+?|", pattern[i]) >= 0 {
				out.WriteByte(pattern[i])
				start = pattern[i] == '(' || pattern[i] == '|'
				continue
			}
			out.WriteByte('\\')
			out.WriteByte(pattern[i])
		case strings.IndexByte("(){}+?|", b) >= 0, b == '*' && start:
			out.WriteByte('\\')
			out.WriteByte(b)
		default:
			out.WriteByte(b)
			if b == '^' && start {
				continue
			}
		}
		start = false
	}
	return out.String()
}
