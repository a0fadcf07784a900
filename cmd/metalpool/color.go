package main

import (
	"regexp"

	"github.com/metalpool/metalpool/core"
)

const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// stateColors colour what an operator looks for: what is wrong, and what is under
// way. What is as it should be stays quiet.
var stateColors = map[core.State]string{
	core.Quarantined: red,
	core.Failed:      red,
	core.Cleaning:    yellow,
	core.Preparing:   yellow,
	core.Deploying:   yellow,
	core.Waiting:     yellow,
	core.Available:   green,
}

var stateWord = regexp.MustCompile(`\b(Quarantined|Failed|Cleaning|Preparing|Deploying|Waiting|Available)\b`)

// paint colours a laid out line: in a cell, colours would count as characters.
// Only the first state of a line is its state; later ones are in a reason.
func paint(line string) string {
	at := stateWord.FindStringIndex(line)
	if at == nil {
		return line
	}
	word := line[at[0]:at[1]]
	return line[:at[0]] + stateColors[core.State(word)] + word + plain + line[at[1]:]
}
