package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// test is the builtins test and [.
func (sh *Shell) test(args []string) int {
	name, rest := args[0], args[1:]
	if name == "[" {
		if len(rest) == 0 || rest[len(rest)-1] != "]" {
			return sh.fail(2, "[: missing `]'")
		}
		rest = rest[:len(rest)-1]
	}
	t := tester{sh: sh, rest: rest}
	ok, err := t.any()
	if err == nil && len(t.rest) > 0 {
		err = fmt.Errorf("too many arguments")
	}
	if err != nil {
		return sh.fail(2, "%s: %v", name, err)
	}
	return truth(ok)
}

// tester reads the words of one test from left to right.
type tester struct {
	sh   *Shell
	rest []string
}

func (t *tester) next() string {
	word := t.rest[0]
	t.rest = t.rest[1:]
	return word
}

func (t *tester) any() (bool, error) {
	ok, err := t.all()
	for err == nil && len(t.rest) > 0 && t.rest[0] == "-o" {
		t.next()
		var other bool
		other, err = t.all()
		ok = ok || other
	}
	return ok, err
}

func (t *tester) all() (bool, error) {
	ok, err := t.one()
	for err == nil && len(t.rest) > 0 && t.rest[0] == "-a" {
		t.next()
		var other bool
		other, err = t.one()
		ok = ok && other
	}
	return ok, err
}

func (t *tester) one() (bool, error) {
	if len(t.rest) == 0 {
		return false, nil
	}
	if len(t.rest) >= 3 && isBinary(t.rest[1]) {
		x, op, y := t.next(), t.next(), t.next()
		return t.sh.compare(op, x, y)
	}
	switch word := t.next(); {
	case len(t.rest) == 0:
		return word != "", nil
	case word == "!":
		ok, err := t.one()
		return !ok, err
	case word == "(":
		ok, err := t.any()
		if err == nil && (len(t.rest) == 0 || t.next() != ")") {
			err = errors.New("`)' expected")
		}
		return ok, err
	case len(word) == 2 && word[0] == '-' && (len(t.rest) == 1 || t.rest[0] != "-a" && t.rest[0] != "-o"):
		return t.sh.property(word, t.next())
	default:
		return word != "", nil
	}
}

var binaryOps = []string{"=", "==", "!=", "<", ">", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"}

func isBinary(op string) bool { return slices.Contains(binaryOps, op) }

// compare is a test of two words.
func (sh *Shell) compare(op, x, y string) (bool, error) {
	switch op {
	case "=", "==":
		return x == y, nil
	case "!=":
		return x != y, nil
	case "<":
		return x < y, nil
	case ">":
		return x > y, nil
	case "-nt", "-ot", "-ef":
		return sh.compareFiles(op, x, y), nil
	}
	a, okA := number(x)
	b, okB := number(y)
	if !okA || !okB {
		return false, fmt.Errorf("%s %s %s: integer expression expected", x, op, y)
	}
	switch op {
	case "-eq":
		return a == b, nil
	case "-ne":
		return a != b, nil
	case "-lt":
		return a < b, nil
	case "-le":
		return a <= b, nil
	case "-gt":
		return a > b, nil
	case "-ge":
		return a >= b, nil
	}
	return false, fmt.Errorf("%s: not supported by the lab's shell", op)
}

// compareFiles is false where one of the files is not there.
func (sh *Shell) compareFiles(op, x, y string) bool {
	a, errA := sh.files.Stat(join(sh.dir, x))
	b, errB := sh.files.Stat(join(sh.dir, y))
	switch {
	case errA != nil || errB != nil:
		return false
	case op == "-nt":
		return a.ModTime().After(b.ModTime())
	case op == "-ot":
		return a.ModTime().Before(b.ModTime())
	}
	return a.Same(b)
}

// property is a test of one word.
func (sh *Shell) property(op, word string) (bool, error) {
	name := join(sh.dir, word)
	switch op {
	case "-n":
		return word != "", nil
	case "-z":
		return word == "", nil
	case "-t":
		return false, nil
	case "-v":
		return sh.vars[word].IsSet(), nil
	case "-r":
		return sh.files.Access(name, 4), nil
	case "-w":
		return sh.files.Access(name, 2), nil
	case "-x":
		return sh.files.Access(name, 1), nil
	case "-L", "-h":
		info, err := sh.files.Lstat(name)
		return err == nil && info.Mode()&fs.ModeSymlink != 0, nil
	}
	info, err := sh.files.Stat(name)
	found := err == nil
	switch op {
	case "-e", "-a":
		return found, nil
	case "-f":
		return found && info.Mode().IsRegular(), nil
	case "-d":
		return found && info.IsDir(), nil
	case "-s":
		return found && info.Size() > 0, nil
	case "-c":
		return found && info.Mode()&fs.ModeCharDevice != 0, nil
	case "-b", "-p", "-S":
		return false, nil
	case "-O":
		return found && info.UID() == sh.files.UID(), nil
	case "-G":
		return found && info.GID() == sh.files.GID(), nil
	}
	return false, fmt.Errorf("%s: unary operator expected", op)
}

// testClause is [[ … ]].
func (sh *Shell) testClause(x syntax.TestExpr) (bool, error) {
	switch x := x.(type) {
	case *syntax.Word:
		word, err := expand.Literal(sh.config, x)
		return word != "", err
	case *syntax.ParenTest:
		return sh.testClause(x.X)
	case *syntax.UnaryTest:
		if x.Op == syntax.TsNot {
			ok, err := sh.testClause(x.X)
			return !ok, err
		}
		word, err := sh.operand(x.X)
		if err != nil {
			return false, err
		}
		return sh.property(x.Op.String(), word)
	case *syntax.BinaryTest:
		return sh.testPair(x)
	}
	return false, errors.New("this test is not supported by the lab's shell")
}

func (sh *Shell) testPair(x *syntax.BinaryTest) (bool, error) {
	switch x.Op {
	case syntax.AndTest, syntax.OrTest:
		ok, err := sh.testClause(x.X)
		if err != nil || ok == (x.Op == syntax.OrTest) {
			return ok, err
		}
		return sh.testClause(x.Y)
	}
	left, err := sh.operand(x.X)
	if err != nil {
		return false, err
	}
	switch x.Op {
	case syntax.TsMatch, syntax.TsMatchShort, syntax.TsNoMatch:
		word, ok := x.Y.(*syntax.Word)
		if !ok {
			break
		}
		glob, err := expand.Pattern(sh.config, word)
		return matches(glob, left) != (x.Op == syntax.TsNoMatch), err
	case syntax.TsReMatch:
		expr, err := sh.operand(x.Y)
		if err != nil {
			return false, err
		}
		rx, err := regexp.Compile(expr)
		if err != nil {
			return false, err
		}
		found := rx.FindStringSubmatch(left)
		sh.vars["BASH_REMATCH"] = expand.Variable{Set: true, Kind: expand.Indexed, List: found}
		return found != nil, nil
	}
	right, err := sh.operand(x.Y)
	if err != nil {
		return false, err
	}
	return sh.compare(x.Op.String(), left, right)
}

func (sh *Shell) operand(x syntax.TestExpr) (string, error) {
	word, ok := x.(*syntax.Word)
	if !ok {
		return "", errors.New("this test is not supported by the lab's shell")
	}
	return expand.Literal(sh.config, word)
}
