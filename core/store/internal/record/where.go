package record

import (
	"fmt"
	"strings"
)

// Where is a WHERE under construction, with its arguments.
type Where struct {
	Args  []any
	terms []string
}

// And adds a condition, whose verb %d is the number of arg.
func (w *Where) And(condition string, arg any) {
	w.Args = append(w.Args, arg)
	w.terms = append(w.terms, fmt.Sprintf(condition, len(w.Args)))
}

// Is adds a condition that has no argument.
func (w *Where) Is(condition string) { w.terms = append(w.terms, condition) }

func (w *Where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}
