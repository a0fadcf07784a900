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
)

var (
	errTooLong   = errors.New("it makes more than " + maxExpanded.String())
	errTooOften  = fmt.Errorf("it goes round more than %d times", maxTurns)
	errTooWide   = fmt.Errorf("printf is to write more than %d characters for one value, or takes a width from a value", maxWidth)
	ownMistakes  = []error{errTooLong, errTooOften, errTooWide}
	formats      = regexp.MustCompile(`%[^%a-zA-Z]*[a-zA-Z]`)
	numbers      = regexp.MustCompile(`[0-9]+`)
	countingTurn = template.Must(template.New("").Funcs(template.FuncMap{turnFunc: func() string { return "" }}).Parse("{{" + turnFunc + "}}")).Root.Nodes[0]
)

// turnFunc counts. Templates are parsed before it is there, so that they cannot call it.
const turnFunc = "countTurn"

// parseTemplate makes a template that ends, and holds little.
func parseTemplate(text string, secret func(name string) (string, error)) (*template.Template, error) {
	funcs := template.FuncMap{
		"secret": secret,
		"json": bound(func(all ...any) (string, error) {
			if len(all) != 1 {
				return "", errors.New("json takes one value")
			}
			b, err := json.Marshal(all[0])
			return string(b), err
		}),
		"print": plainly(fmt.Sprint), "println": plainly(fmt.Sprintln), "html": plainly(template.HTMLEscaper), "js": plainly(template.JSEscaper), "urlquery": plainly(template.URLQueryEscaper),
		"printf": printf,
	}
	t, err := template.New("").Option("missingkey=error").Funcs(funcs).Parse(text)
	if err != nil {
		return nil, err
	}
	turns := 0
	t.Funcs(template.FuncMap{turnFunc: func() (string, error) {
		if turns++; turns > maxTurns {
			return "", errTooOften
		}
		return "", nil
	}})
	for _, each := range t.Templates() {
		each.Root = counted(each.Root)
		countIn(each.Root)
	}
	return t, nil
}

func plainly(make func(all ...any) string) func(...any) (string, error) {
	return bound(func(all ...any) (string, error) { return make(all...), nil })
}

// bound is a function of templates that takes little, and so cannot make much more.
func bound(make func(all ...any) (string, error)) func(...any) (string, error) {
	return func(all ...any) (string, error) {
		length := 0
		for _, value := range all {
			if length += len(fmt.Sprint(value)); Bytes(length) > maxExpanded {
				return "", errTooLong
			}
		}
		made, err := make(all...)
		if err == nil && Bytes(len(made)) > maxExpanded {
			return "", errTooLong
		}
		return made, err
	}
}

// printf is that of fmt. A format may name one value many times, each as wide as it likes.
func printf(format string, all ...any) (string, error) {
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
	return plainly(func(all ...any) string { return fmt.Sprintf(format, all...) })(all...)
}

// counted is a list of which each turn counts.
func counted(list *parse.ListNode) *parse.ListNode {
	if list == nil {
		return nil
	}
	list.Nodes = append([]parse.Node{countingTurn.Copy()}, list.Nodes...)
	return list
}

// countIn has the turns of all loops below a node count.
func countIn(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, below := range n.Nodes {
			countIn(below)
		}
	case *parse.IfNode:
		countIn(n.List)
		countIn(n.ElseList)
	case *parse.WithNode:
		countIn(n.List)
		countIn(n.ElseList)
	case *parse.RangeNode:
		n.List = counted(n.List)
		countIn(n.List)
		countIn(n.ElseList)
	}
}

// templateFault is what is wrong with a template, without where in ours that is.
func templateFault(err error) error {
	for _, own := range ownMistakes {
		if errors.Is(err, own) {
			return fmt.Errorf("the template cannot be filled in: %w", own)
		}
	}
	return fmt.Errorf("the template cannot be filled in: %s", strings.TrimPrefix(err.Error(), "template: :"))
}
