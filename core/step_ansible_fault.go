package core

import (
	"encoding/json"
	"fmt"
	"strings"
)

// playbookFault is what of a playbook's output says why it failed: the last task that did,
// or what is wrong with the playbook. What comes after those is a table of counts, or the
// place that the parser stopped at.
func playbookFault(text string) string {
	var task, broken string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "fatal: "), strings.HasPrefix(line, "failed: "):
			task = line
		case broken == "" && (strings.HasPrefix(line, "ERROR! ") || strings.HasPrefix(line, "[ERROR]: ")):
			broken = line
		case strings.HasPrefix(line, "The error appears to be in "), strings.HasPrefix(line, "Origin: "):
			if broken != "" {
				return tail(broken + "\n" + line)
			}
		}
	}
	switch {
	case task != "":
		return tail(taskFault(task))
	case broken != "":
		return tail(broken)
	}
	return lastSaid(text)
}

// taskFault is a line of a task that failed without what its result tells besides why,
// which would take the room. A result that is not to be read stays as it is.
func taskFault(line string) string {
	who, result, found := strings.Cut(line, " => ")
	var said struct {
		Msg            any
		RC             *int
		Stderr, Stdout string
	}
	if !found || json.Unmarshal([]byte(result), &said) != nil || said.Msg == nil {
		return line
	}
	who += fmt.Sprintf(" => %v", said.Msg)
	if said.RC != nil {
		who += fmt.Sprintf(", rc %d", *said.RC)
	}
	for _, stream := range []struct{ name, text string }{{"stderr", said.Stderr}, {"stdout", said.Stdout}} {
		if stream.text != "" {
			who += fmt.Sprintf(", %s: %s", stream.name, strings.Join(strings.Fields(stream.text), " "))
		}
	}
	return strings.ReplaceAll(who, "\n", " ")
}
