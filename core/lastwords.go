package core

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

const (
	consoleEnds = "; its console ends: "
	// olderEnds begins words that may be of who had the server before.
	olderEnds = "; its console, which may show what was there before, ends: "
	logEnds   = "; the agent's log ends: "
	saidEnds  = "; its output ends: " // of what a step ran
)

// lastWords begin what is not part of a line among others.
var lastWords = []string{consoleEnds, olderEnds, logEnds, saidEnds}

// Discreet is a reason as it is told to others than operators: without what a console
// said for who had the server before; with everybody, without what it said for anybody.
func Discreet(reason string, everybody bool) string {
	intros := []string{olderEnds}
	if everybody {
		intros = append(intros, consoleEnds)
	}
	for _, intro := range intros {
		before, after, found := strings.Cut(reason, intro)
		if !found {
			continue
		}
		// What is after the last quote is the reason's own, if it is cut off nowhere.
		end := strings.LastIndex(after, "\"")
		rest := after[end+1:]
		if end < 0 || !strings.HasPrefix(rest, ";") && !strings.HasPrefix(rest, ")") {
			rest = ""
		}
		reason = before + "; what its console says is for operators" + rest
	}
	return reason
}

// Brief is a reason up to what a console or a log said last: what happened, for a line
// among others.
func Brief(reason string) string {
	for _, words := range lastWords {
		reason, _, _ = strings.Cut(reason, words)
	}
	return reason
}

// Apart takes a reason apart: what happened, as far as it is a line among others, and what
// a console or a log said last, with a line before it that says whose it is.
func Apart(reason string) (what string, said []string) {
	for _, words := range lastWords {
		before, after, found := strings.Cut(reason, words)
		end := strings.LastIndex(after, "\"")
		if !found || end < 1 || after[0] != '"' {
			continue
		}
		said = append([]string{strings.TrimPrefix(words[:len(words)-1], "; ")}, strings.Split(after[1:end], "\", \"")...)
		return before + after[end+1:], said
	}
	return reason, nil
}

// consolesWords end a sentence about a server that did not do what it should at a step.
// More of them is kept for who reads the node's events.
func (w *work) consolesWords(ctx context.Context, step string) string {
	text, own := w.console(ctx)
	ev := w.event(ConsoleSaid, step, printable(text))
	if own {
		w.keepsWords(ctx, ev)
		return ending(consoleEnds, tail(text))
	}
	ev.Allocation = "" // it is not its owner's to read
	w.keepsWords(ctx, ev)
	return ending(olderEnds, tail(text))
}

// agentsWords end a sentence about what the agent could not do at a step. More of them is
// kept for who reads the node's events.
func (w *work) agentsWords(ctx context.Context, step string) string {
	text := w.agentLog(ctx)
	w.keepsWords(ctx, w.event(AgentSaid, step, printable(lastBytes(text, int(keptOutput)))))
	return ending(logEnds, tail(text))
}

// keepsWords keeps what was said, if anything was. The time for the step may be over.
func (w *work) keepsWords(ctx context.Context, ev Event) {
	if strings.TrimSpace(ev.Message) == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.e.timing.Call)
	defer cancel()
	w.keep(ctx, ev)
}

func ending(intro, words string) string {
	if words == "" {
		return ""
	}
	return intro + words
}

// agentLog is the agent's log where it still answers.
func (w *work) agentLog(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.e.timing.Call)
	defer cancel()
	agent, err := w.agent()
	if err != nil {
		return ""
	}
	text, err := agent.Log(ctx)
	if err != nil {
		return ""
	}
	return spoken(text)
}

// ownWords begin lines of the agent's log that say what its answers say as well.
var ownWords = []string{"begins boot-", "checked in", "command begins", "command ended"}

// spoken is a log of slog's text handler as people read it, a line at a time.
func spoken(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		said := spokenLine(strings.TrimSpace(line))
		if !slices.ContainsFunc(ownWords, func(own string) bool { return strings.HasPrefix(said, own) }) {
			b.WriteString(said + "\n")
		}
	}
	return b.String()
}

// spokenLine is a line's message and what belongs to it, without the time and what is
// the same in all lines. A line of another form stays as it is.
func spokenLine(line string) string {
	var message string
	var more []string
	for rest := line; rest != ""; rest = strings.TrimLeft(rest, " ") {
		quoted, _ := strconv.QuotedPrefix(rest) // a key of several words
		key, value, found := strings.Cut(rest[len(quoted):], "=")
		if key = quoted + key; !found || key == "" || quoted == "" && strings.ContainsAny(key, " \"") {
			return line
		}
		text, err := strconv.QuotedPrefix(value)
		if err != nil {
			text, _, _ = strings.Cut(value, " ")
		}
		switch rest = value[len(text):]; key {
		case slog.TimeKey, slog.LevelKey, "node", "boot":
		case slog.MessageKey:
			if message, err = strconv.Unquote(text); err != nil {
				message = text
			}
		default:
			more = append(more, key+"="+text)
		}
	}
	if message == "" {
		return line
	}
	return strings.Join(append([]string{message}, more...), " ")
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
