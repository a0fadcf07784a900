package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Templates come from whoever may declare steps, also from afar, and are filled in where a
// server works. text/template bounds neither how often one goes round nor what its
// functions make, before any of it is written.
const (
	maxTurns    = 10_000 // of all loops, and templates within it, together
	maxExpanded = 1 * MiB
	maxWidth    = 1_000 // of one value that printf writes
	// maxHandled is for all that its functions take and make, and for what is gone round in
	// as often as that is done: many calls that are harmless each are not together.
	maxHandled = 16 * MiB
)

var (
	errTooLong  = errors.New("it makes more than " + maxExpanded.String())
	errTooOften = fmt.Errorf("it goes round more than %d times", maxTurns)
	errTooMuch  = errors.New("it handles more than " + maxHandled.String() + " in all")
	errTooWide  = fmt.Errorf("printf is to write more than %d characters for one value, or takes a width from a value", maxWidth)
	ownMistakes = []error{errTooLong, errTooOften, errTooMuch, errTooWide}
	formats     = regexp.MustCompile(`%[^%a-zA-Z]*[a-zA-Z]`)
	numbers     = regexp.MustCompile(`[0-9]+`)
)

// turnFunc counts. Templates are parsed before it is there, so that they cannot call it.
const turnFunc = "countTurn"

// effort is what one filling in has cost so far.
type effort struct {
	turns   int
	handled Bytes
}

// parseTemplate makes a template that ends, and holds little. It is filled in once.
func parseTemplate(text string, secret func(name string) (string, error)) (*template.Template, error) {
	e := &effort{}
	plainly := func(make func(all ...any) string) func(...any) (string, error) {
		return e.bound(func(all ...any) (string, error) { return make(all...), nil })
	}
	funcs := template.FuncMap{
		"secret": secret,
		"json": e.bound(func(all ...any) (string, error) {
			if len(all) != 1 {
				return "", errors.New("json takes one value")
			}
			b, err := json.Marshal(all[0])
			return string(b), err
		}),
		"print": plainly(fmt.Sprint), "println": plainly(fmt.Sprintln), "html": plainly(template.HTMLEscaper), "js": plainly(template.JSEscaper), "urlquery": plainly(template.URLQueryEscaper),
		"printf": e.printf,
	}
	t, err := template.New("").Option("missingkey=error").Funcs(funcs).Parse(text)
	if err != nil {
		return nil, err
	}
	t.Funcs(template.FuncMap{turnFunc: func(length int) (string, error) {
		if e.turns++; e.turns > maxTurns {
			return "", errTooOften
		}
		return "", e.handle(length)
	}})
	for _, each := range t.Templates() {
		each.Root = counted(each.Root, countIn(each.Root))
	}
	return t, nil
}

func (e *effort) handle(length int) error {
	if e.handled += Bytes(length); e.handled > maxHandled {
		return errTooMuch
	}
	return nil
}

// bound is a function of templates that takes little, and so cannot make much more.
func (e *effort) bound(make func(all ...any) (string, error)) func(...any) (string, error) {
	return func(all ...any) (string, error) {
		length := 0
		for _, value := range all {
			if length += len(fmt.Sprint(value)); Bytes(length) > maxExpanded {
				return "", errTooLong
			}
		}
		if err := e.handle(length); err != nil {
			return "", err
		}
		made, err := make(all...)
		if err == nil && Bytes(len(made)) > maxExpanded {
			return "", errTooLong
		}
		return made, errors.Join(err, e.handle(len(made)))
	}
}

// printf is that of fmt. A format may name one value many times, each as wide as it likes.
func (e *effort) printf(format string, all ...any) (string, error) {
	longest := maxWidth
	for _, value := range all {
		longest = max(longest, len(fmt.Sprint(value)))
	}
	verbs := formats.FindAllString(format, -1)
	for _, verb := range verbs {
		for _, number := range numbers.FindAllString(verb, -1) {
			if n, err := strconv.Atoi(number); err != nil || n > maxWidth {
				return "", errTooWide
			}
		}
		if strings.Contains(verb, "*") {
			return "", errTooWide
		}
	}
	if Bytes(len(format)+len(verbs)*longest) > 2*maxExpanded {
		return "", errTooLong
	}
	return e.bound(func(all ...any) (string, error) { return fmt.Sprintf(format, all...), nil })(all...)
}

// counted is a list of which each turn counts, as so long a text.
func counted(list *parse.ListNode, length int) *parse.ListNode {
	if list == nil {
		return nil
	}
	counts := template.FuncMap{turnFunc: func(int) string { return "" }}
	counting := template.Must(template.New("").Funcs(counts).Parse(fmt.Sprintf("{{%s %d}}", turnFunc, length))).Root.Nodes
	list.Nodes = append(counting, list.Nodes...)
	return list
}

// countIn has the turns of all loops below a node count. It tells how long the text of the
// node is, about.
func countIn(node parse.Node) (length int) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return 0
		}
		for _, below := range n.Nodes {
			length += countIn(below)
		}
		return length
	case *parse.IfNode:
		return len(n.Pipe.String()) + countIn(n.List) + countIn(n.ElseList)
	case *parse.WithNode:
		return len(n.Pipe.String()) + countIn(n.List) + countIn(n.ElseList)
	case *parse.RangeNode:
		length = countIn(n.List)
		n.List = counted(n.List, length)
		return len(n.Pipe.String()) + length + countIn(n.ElseList)
	}
	return len(node.String())
}

// templateFault is what is wrong with a template, and in which line of its text where that
// is not the first.
func templateFault(err error) error {
	for _, own := range ownMistakes {
		if errors.Is(err, own) {
			return fmt.Errorf("the template cannot be filled in: %w", own)
		}
	}
	line, text := 0, strings.TrimPrefix(err.Error(), "template: :")
	if at := placeInTemplate.FindStringSubmatch(text); at != nil {
		line, _ = strconv.Atoi(at[1])
		text = strings.TrimPrefix(text[len(at[0]):], `executing "" `)
	}
	why := fmt.Errorf("the template cannot be filled in: %s", text)
	if line > 1 {
		return &partError{line: line, err: why}
	}
	return why
}

// placeInTemplate is the line, and perhaps the column, that text/template begins with.
var placeInTemplate = regexp.MustCompile(`^(\d+)(?::\d+)?: `)
