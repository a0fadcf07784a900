package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
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
	maxNested   = 1_000 // who fills it in, and who reads it, call themselves that deep
	// maxHandled is for all that its functions take and make, and for what is gone round in
	// as often as that is done: many calls that are harmless each are not together.
	maxHandled = 16 * MiB
	// callCost is what one call takes about as long as, in bytes that are handled.
	callCost = 128
	// together is how many times as much all templates may cost that are filled in for one
	// thing: a declaration, or a try at a step.
	together = 4
)

var (
	errTooLong  = errors.New("it makes more than " + maxExpanded.String())
	errTooMany  = fmt.Errorf("all templates up to it together go round more than %d times, or handle more than %s", together*maxTurns, together*maxHandled)
	errTooDeep  = fmt.Errorf("it nests deeper than %d", maxNested)
	errTooBig   = errors.New("its text has more than " + maxStepText.String())
	errTooOften = fmt.Errorf("it goes round more than %d times", maxTurns)
	errTooMuch  = errors.New("it handles more than " + maxHandled.String() + " in all")
	errTooWide  = fmt.Errorf("printf is to write more than %d characters for one value, or takes a width from a value", maxWidth)
	ownMistakes = []error{errTooLong, errTooOften, errTooMuch, errTooMany, errTooDeep, errTooBig, errTooWide}
	formats     = regexp.MustCompile(`%[^%a-zA-Z]*[a-zA-Z]`)
	numbers     = regexp.MustCompile(`[0-9]+`)
)

// These count. Templates are parsed before they are there, so that they cannot call them.
const (
	turnFunc  = "countTurn"
	valueFunc = "countValue" // a text that is compared
)

// effort is what one filling in has cost so far.
type effort struct {
	turns   int
	handled Bytes
	all     *effort // of all that are filled in for the same thing
}

// parseTemplate makes a template that ends, and holds little. It is filled in once. What
// that costs is added to what has been spent already; nil: it is alone.
func parseTemplate(text string, secret func(name string) (string, error), spent *effort) (*template.Template, error) {
	if Bytes(len(text)) > maxStepText {
		return nil, errTooBig // to read it would be to nest as deep as it does
	}
	if spent == nil {
		spent = &effort{}
	}
	e := &effort{all: spent}
	plainly := func(make func(all ...any) string) func(...any) (string, error) {
		return e.bound(func(all ...any) (string, error) { return make(all...), nil })
	}
	funcs := template.FuncMap{
		"secret": func(name string) (string, error) {
			if !variableName().MatchString(name) || len(name) > maxWidth {
				return "", errors.New("secret takes the name of one that the step has under secrets")
			}
			value, err := secret(name)
			return value, errors.Join(err, e.handle(len(value)))
		},
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
	t.Funcs(template.FuncMap{turnFunc: e.turn, valueFunc: func(value reflect.Value) (reflect.Value, error) {
		text := value
		if text.Kind() == reflect.Interface {
			text = text.Elem()
		}
		if text.Kind() != reflect.String {
			return value, nil
		}
		return value, e.handle(text.Len())
	}})
	for _, each := range t.Templates() {
		length, err := countIn(each.Root, maxNested)
		if err != nil {
			return nil, err
		}
		each.Root = counted(each.Root, length)
	}
	return t, nil
}

func (e *effort) turn(length int) (string, error) {
	e.turns++
	e.all.turns++
	switch {
	case e.turns > maxTurns:
		return "", errTooOften
	case e.all.turns > together*maxTurns:
		return "", errTooMany
	}
	return "", e.handle(length)
}

func (e *effort) handle(length int) error {
	e.handled += Bytes(length)
	e.all.handled += Bytes(length)
	switch {
	case e.handled > maxHandled:
		return errTooMuch
	case e.all.handled > together*maxHandled:
		return errTooMany
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
	longest, length := maxWidth, 0
	for _, value := range all {
		one := len(fmt.Sprint(value))
		if length += one; Bytes(length) > maxExpanded {
			return "", errTooLong
		}
		longest = max(longest, one)
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

// countIn has the turns of all loops below a node count, and what is compared there. It
// tells how long the text of the node is, and what it calls, about.
func countIn(node parse.Node, deep int) (length int, err error) {
	if deep == 0 {
		return 0, errTooDeep
	}
	var below []parse.Node
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			below = n.Nodes
		}
		deep++ // it is as deep as what it is the list of
	case *parse.IfNode:
		below = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.WithNode:
		below = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.RangeNode:
		if length, err = countIn(n.List, deep-1); err != nil {
			return 0, err
		}
		n.List = counted(n.List, length)
		below = []parse.Node{n.Pipe, n.ElseList}
	case *parse.ActionNode:
		below = []parse.Node{n.Pipe}
	case *parse.TemplateNode:
		below, length = []parse.Node{n.Pipe}, callCost
	case *parse.ChainNode:
		below = []parse.Node{n.Node}
	case *parse.PipeNode:
		if n == nil {
			return 0, nil
		}
		n.Cmds = compared(n.Cmds)
		for _, command := range n.Cmds {
			below = append(below, command)
		}
	case *parse.CommandNode:
		below, length = n.Args, callCost
	default:
		return len(node.String()), nil
	}
	for _, n := range below {
		more, err := countIn(n, deep-1)
		if err != nil {
			return 0, err
		}
		length += more
	}
	return length, nil
}

// comparing are functions of text/template that look at as much as they are given, and of
// which it does not say how much that is.
var comparing = []string{"eq", "ne", "lt", "le", "gt", "ge"}

// compared are the commands of a pipe of which each counts what it compares.
func compared(commands []*parse.CommandNode) (all []*parse.CommandNode) {
	count := func() *parse.CommandNode {
		return &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier(valueFunc)}}
	}
	for i, command := range commands {
		name, calls := command.Args[0].(*parse.IdentifierNode)
		if !calls || !slices.Contains(comparing, name.Ident) {
			all = append(all, command)
			continue
		}
		if i > 0 {
			all = append(all, count()) // what it is handed on
		}
		for at, value := range command.Args[1:] {
			switch n := value.(type) {
			case *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode: // counted with the template
			case *parse.PipeNode:
				n.Cmds = append(n.Cmds, count())
			default:
				one := &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{value}}
				command.Args[1+at] = &parse.PipeNode{NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{one, count()}}
			}
		}
		all = append(all, command)
	}
	return all
}

// templateFault is what is wrong with a template, and in which line of its text where that
// is not the first.
func templateFault(err error) error {
	for _, own := range ownMistakes {
		if errors.Is(err, own) {
			return fmt.Errorf("the template cannot be filled in: %w", own)
		}
	}
	text := ownCalls.ReplaceAllString(err.Error(), "")
	line, text := 0, strings.TrimPrefix(notIterable.ReplaceAllString(text, "${1}that"), "template: :")
	if at := placeInTemplate.FindStringSubmatch(text); at != nil {
		line, _ = strconv.Atoi(at[1])
		text = strings.TrimPrefix(text[len(at[0]):], `executing "" `)
	}
	if len(text) > mostFault { // it quotes all of a loop
		text = strings.ToValidUTF8(text[:mostFault/2]+" … "+text[len(text)-mostFault/2:], "")
	}
	why := fmt.Errorf("the template cannot be filled in: %s", text)
	if line > 1 {
		return &partError{line: line, err: why}
	}
	return why
}

// ownCalls are calls in templates that nobody but us has written there.
var ownCalls = regexp.MustCompile(`\{\{` + turnFunc + ` \d+\}\}| \| ` + valueFunc)

// notIterable is where text/template would name a value, which may be a secret.
var notIterable = regexp.MustCompile(`(?s)(range can't iterate over ).*`)

// mostFault is how much is told of what is wrong with a template, in bytes.
const mostFault = 400

// placeInTemplate is the line, and perhaps the column, that text/template begins with.
var placeInTemplate = regexp.MustCompile(`^(\d+)(?::\d+)?: `)
