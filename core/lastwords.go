package core

import (
	"context"
	"strings"
)

const (
	consoleEnds = "; its console ends: "
	logEnds     = "; the agent's log ends: "
)

// Brief is a reason up to what a console or a log said last: what happened, for a line
// among others.
func Brief(reason string) string {
	for _, words := range []string{consoleEnds, logEnds} {
		reason, _, _ = strings.Cut(reason, words)
	}
	return reason
}

// consolesWords end a sentence about a server that did not do what it should.
func (w *work) consolesWords(ctx context.Context) string {
	return ending(consoleEnds, tail(w.console(ctx)))
}

// agentsWords end a sentence about what the agent could not do.
func (w *work) agentsWords(ctx context.Context) string {
	return ending(logEnds, w.agentLog(ctx))
}

func ending(intro, words string) string {
	if words == "" {
		return ""
	}
	return intro + words
}

// agentLog is the end of the agent's log where it still answers.
func (w *work) agentLog(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.e.timing.Call)
	defer cancel()
	agent, err := w.agent()
	if err != nil {
		return ""
	}
	defer agent.Close()
	text, err := agent.Log(ctx)
	if err != nil {
		return ""
	}
	return tail(text)
}

// tailLines, tailWidth and tailBytes bound what goes into an error and an event.
const (
	tailLines = 10
	tailWidth = 160 // characters
	tailBytes = 1 << 10
)

// tail is the last lines of a text that a server wrote, made fit to be shown: in one
// line, each quoted, without what steers a terminal.
func tail(text string) string {
	var lines []string
	for line := range strings.Lines(string(new(ConsoleFilter).Clean(nil, []byte(text)))) {
		line = strings.Join(strings.Fields(line), " ")
		if runes := []rune(line); len(runes) > tailWidth {
			line = string(runes[:tailWidth]) + "…"
		}
		if line != "" {
			lines = append(lines, "\""+line+"\"")
		}
	}
	lines = lines[max(0, len(lines)-tailLines):]
	for size, i := 0, len(lines)-1; i >= 0; i-- {
		if size += len(lines[i]); size > tailBytes {
			lines = lines[i+1:]
			break
		}
	}
	return strings.Join(lines, ", ")
}
