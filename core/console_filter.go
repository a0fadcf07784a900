package core

import "unicode/utf8"

// ConsoleFilter makes what a server printed safe to show. It takes out, with the
// sequences that begin with them, all control characters by which a server's own words
// could steer the reader: set a title, write to the clipboard, or have the terminal
// type an answer. The zero value leaves plain lines that end with "\n". With Terminal
// set, colours and movements of the cursor stay, for firmware draws its screens so.
//
// It keeps the state between two pieces of a stream, and is for one stream.
type ConsoleFilter struct {
	Terminal bool

	state  filterState
	seq    []byte // of a control sequence, from its ESC on
	rune   []byte // the beginning of a character
	inLine bool   // the line has something in it
	cr     bool   // a carriage return came last
}

type filterState int

const (
	inText filterState = iota
	inEscape
	inSequence     // CSI
	inCommand      // OSC, DCS, APC, PM, SOS: up to its terminator, or the line's end
	inCommandEnd   // the same, after an ESC
	inIntermediate // ESC and something before its last character
)

const (
	esc = 0x1b
	bel = 0x07
	can = 0x18
	sub = 0x1a

	// longestSequence is more than any that is passed on.
	longestSequence = 32
)

// Clean appends to dst what may be shown of p.
func (f *ConsoleFilter) Clean(dst, p []byte) []byte {
	for _, b := range p {
		dst = f.byte(dst, b)
	}
	return dst
}

func (f *ConsoleFilter) byte(dst []byte, b byte) []byte {
	switch f.state {
	case inText:
		return f.text(dst, b)
	case inEscape:
		f.escape(b)
	case inSequence:
		return f.sequence(dst, b)
	case inCommand, inCommandEnd:
		return f.command(dst, b)
	case inIntermediate:
		switch {
		case b == esc:
			f.state = inEscape
		case b < 0x20 || b > 0x2f:
			f.state = inText
		}
	}
	return dst
}

func (f *ConsoleFilter) escape(b byte) {
	switch {
	case b == esc:
	case b == '[':
		f.state, f.seq = inSequence, append(f.seq[:0], esc, '[')
	case b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_':
		f.state = inCommand
	case b >= 0x20 && b <= 0x2f:
		f.state = inIntermediate
	default:
		f.state = inText
	}
}

// command leaves out what is meant for the terminal. One that never ends, which noise
// on a serial line may begin, does not take all that follows with it.
func (f *ConsoleFilter) command(dst []byte, b byte) []byte {
	switch {
	case b == '\n':
		f.state = inText
		return f.text(dst, b)
	case b == bel, b == can, b == sub, b == '\\' && f.state == inCommandEnd:
		f.state = inText
	case f.state == inCommandEnd:
		f.state = inEscape // its ESC began another sequence
		f.escape(b)
	case b == esc:
		f.state = inCommandEnd
	}
	return dst
}

// sequence takes one byte of a control sequence, and passes it on at its end if it is
// one that only draws.
func (f *ConsoleFilter) sequence(dst []byte, b byte) []byte {
	switch {
	case b == esc:
		f.state = inEscape
		return dst
	case b < 0x20 || b > 0x7e:
		f.state = inText // broken off
		return f.text(dst, b)
	}
	if len(f.seq) < longestSequence {
		f.seq = append(f.seq, b)
	}
	if b < 0x40 {
		return dst
	}
	f.state = inText
	switch {
	case len(f.seq) == longestSequence || !draws(f.seq):
	case f.Terminal:
		dst = append(dst, f.seq...)
	case b != 'm' && b != 'K' && f.inLine:
		// What is drawn elsewhere on a screen is another line of a text.
		dst, f.inLine = append(dst, '\n'), false
	}
	return dst
}

// draws says whether a control sequence does nothing but move the cursor, erase, and
// colour. Its parameters are numbers: modes, questions and reports have other ones.
func draws(seq []byte) bool {
	last := len(seq) - 1
	for _, b := range seq[2:last] {
		if (b < '0' || b > '9') && b != ';' {
			return false
		}
	}
	switch seq[last] {
	case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'd', 'f', 'm':
		return true
	}
	return false
}

func (f *ConsoleFilter) text(dst []byte, b byte) []byte {
	if len(f.rune) > 0 || b >= utf8.RuneSelf {
		return f.wide(dst, b)
	}
	if f.Terminal {
		switch {
		case b == esc:
			f.state = inEscape
		case b >= 0x20 && b != 0x7f, b == '\n', b == '\r', b == '\t', b == '\b':
			dst = append(dst, b)
		}
		return dst
	}
	switch {
	case b == '\r':
		f.cr = true
		return dst
	case b == '\n':
		f.cr, f.inLine = false, false
		return append(dst, '\n')
	case b == esc:
		f.state = inEscape
		return dst
	case b < 0x20 && b != '\t', b == 0x7f:
		return dst
	}
	return append(f.newline(dst), b)
}

// newline makes room for a character: one that is printed over a line begins a new one.
func (f *ConsoleFilter) newline(dst []byte) []byte {
	if f.cr && f.inLine {
		dst = append(dst, '\n')
	}
	f.cr, f.inLine = false, true
	return dst
}

// wide gathers a character of several bytes. Those of the upper control range, and
// bytes that are no UTF-8, are not shown: terminals may take them for commands.
func (f *ConsoleFilter) wide(dst []byte, b byte) []byte {
	if b < utf8.RuneSelf || utf8.RuneStart(b) {
		f.rune = f.rune[:0] // what came before is no character
		if b < utf8.RuneSelf {
			return f.text(dst, b)
		}
	} else if len(f.rune) == 0 {
		return dst
	}
	f.rune = append(f.rune, b)
	if !utf8.FullRune(f.rune) {
		return dst
	}
	r, size := utf8.DecodeRune(f.rune)
	whole := f.rune[:size]
	f.rune = f.rune[:0]
	if r == utf8.RuneError && size == 1 || r >= 0x80 && r <= 0x9f {
		return dst
	}
	return append(f.newline(dst), whole...)
}
