package core

import (
	"context"
	"strings"
	"unicode"
)

// Console is a BMC that keeps what its server writes to its serial console.
type Console interface {
	// ConsoleTail is the end of it, "" where nothing was kept.
	ConsoleTail(ctx context.Context) (string, error)
}

// logKeeper is an agent that tells what it logged.
type logKeeper interface {
	Log(ctx context.Context) (string, error)
}

// console is the end of the node's console where there is one. It may be asked when
// the time for a step is over.
func (w *work) console(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.e.timing.Call)
	defer cancel()
	bmc, err := w.conn(ctx)
	if err != nil {
		return ""
	}
	return lastLines(ctx, bmc)
}

func lastLines(ctx context.Context, bmc BMC) string {
	c, ok := bmc.(Console)
	if !ok {
		return ""
	}
	text, err := c.ConsoleTail(ctx)
	if err != nil {
		return ""
	}
	return tail(text)
}

// consolesWords end a sentence about a server that did not do what it should.
func (w *work) consolesWords(ctx context.Context) string {
	return ending("; its console ends: ", w.console(ctx))
}

// agentsWords end a sentence about what the agent could not do.
func (w *work) agentsWords(ctx context.Context) string {
	return ending("; the agent's log ends: ", w.agentLog(ctx))
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
	k, ok := agent.(logKeeper)
	if !ok {
		return ""
	}
	text, err := k.Log(ctx)
	if err != nil {
		return ""
	}
	return tail(text)
}

// tailLines and tailWidth bound what goes into an error and an event.
const (
	tailLines = 8
	tailWidth = 160 // characters
)

// tail is the last lines of a text that a server wrote, made fit to be shown: in one
// line, each quoted, without what steers a terminal.
func tail(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if runes := []rune(line); len(runes) > tailWidth {
			line = string(runes[:tailWidth]) + "…"
		}
		if line != "" {
			lines = append(lines, "\""+line+"\"")
		}
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], ", ")
}
