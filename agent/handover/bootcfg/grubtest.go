package bootcfg

import (
	"io/fs"
	"strconv"
	"strings"
)

// condition evaluates the arguments of the command test.
type condition struct {
	g    *grub
	args []string
}

// test is false, too, for what is no condition.
func (g *grub) test(args []string, bracket bool) bool {
	if bracket {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return false
		}
		args = args[:len(args)-1]
	}
	c := &condition{g, args}
	result := c.any()
	return result && len(c.args) == 0
}

func (c *condition) take() string {
	if len(c.args) == 0 {
		return ""
	}
	a := c.args[0]
	c.args = c.args[1:]
	return a
}

func (c *condition) next(is string) bool {
	if len(c.args) == 0 || c.args[0] != is {
		return false
	}
	c.args = c.args[1:]
	return true
}

func (c *condition) any() bool {
	result := c.all()
	for c.next("-o") {
		result = c.all() || result
	}
	return result
}

func (c *condition) all() bool {
	result := c.not()
	for c.next("-a") {
		result = c.not() && result
	}
	return result
}

func (c *condition) not() bool {
	negated := false
	for len(c.args) > 1 && c.next("!") {
		negated = !negated
	}
	return c.one() != negated
}

func (c *condition) one() bool {
	if len(c.args) >= 3 {
		if result, ok := compare(c.args[0], c.args[1], c.args[2]); ok {
			c.args = c.args[3:]
			return result
		}
	}
	if len(c.args) >= 2 {
		if c.next("(") {
			result := c.any()
			return c.next(")") && result
		}
		if result, ok := c.unary(c.args[0], c.args[1]); ok {
			c.args = c.args[2:]
			return result
		}
	}
	return c.take() != ""
}

func (c *condition) unary(operator, operand string) (result, ok bool) {
	switch operator {
	case "-n":
		return operand != "", true
	case "-z":
		return operand == "", true
	case "-e", "-f", "-d", "-s":
		v, name := c.g.locate(operand)
		if v == nil {
			return false, true
		}
		info, err := fs.Stat(v.Files, clean(name))
		if err != nil {
			return false, true
		}
		switch operator {
		case "-d":
			return info.IsDir(), true
		case "-f":
			return !info.IsDir(), true
		case "-s":
			return info.Size() > 0, true
		}
		return true, true
	}
	return false, false
}

func compare(a, operator, b string) (result, ok bool) {
	switch operator {
	case "=", "==":
		return a == b, true
	case "!=":
		return a != b, true
	case "<":
		return a < b, true
	case ">":
		return a > b, true
	}
	x, _ := strconv.Atoi(strings.TrimSpace(a)) // as GRUB: what is no number is 0
	y, _ := strconv.Atoi(strings.TrimSpace(b))
	switch operator {
	case "-eq":
		return x == y, true
	case "-ne":
		return x != y, true
	case "-lt":
		return x < y, true
	case "-le":
		return x <= y, true
	case "-gt":
		return x > y, true
	case "-ge":
		return x >= y, true
	}
	return false, false
}
