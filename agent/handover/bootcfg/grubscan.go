package bootcfg

import (
	"errors"
	"strings"
)

// scanGrub splits a script into words and marks.
func scanGrub(text string) ([]token, error) {
	s := &grubScanner{text: text, line: 1}
	for {
		more, err := s.step()
		if err != nil || !more {
			return s.tokens, err
		}
	}
}

type grubScanner struct {
	text   string
	at     int
	line   int
	tokens []token
}

var errOpenQuote = errors.New("a quotation has no end")

const blanks = " \t\r"

// step scans one token.
func (s *grubScanner) step() (more bool, err error) {
	for s.at < len(s.text) && strings.IndexByte(blanks, s.text[s.at]) >= 0 {
		s.at++
	}
	if s.at >= len(s.text) {
		return false, nil
	}
	switch c := s.text[s.at]; c {
	case '#':
		if end := strings.IndexByte(s.text[s.at:], '\n'); end >= 0 {
			s.at += end
			return true, nil
		}
		return false, nil
	case '\n', ';', '&', '|':
		s.tokens = append(s.tokens, token{mark: ';', line: s.line})
		if c == '\n' {
			s.line++
		}
		s.at++
		return true, nil
	case '{', '}':
		s.tokens = append(s.tokens, token{mark: c, line: s.line})
		s.at++
		return true, nil
	}
	line := s.line
	w, err := s.word()
	if err != nil {
		return false, err
	}
	if w != nil {
		s.tokens = append(s.tokens, token{word: w, line: line})
	}
	return true, nil
}

// word scans up to a blank or a mark. It is nil for a line that goes on in the next.
func (s *grubScanner) word() (word, error) {
	var w word
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case strings.IndexByte(blanks+"\n;&|{}", c) >= 0:
			return w, nil
		case c == '\\' && s.at+1 < len(s.text):
			if s.text[s.at+1] == '\n' {
				s.line++
			} else {
				w = append(w, piece{text: s.text[s.at+1 : s.at+2], quoted: true})
			}
			s.at += 2
		case c == '\'':
			end := strings.IndexByte(s.text[s.at+1:], '\'')
			if end < 0 {
				return nil, errOpenQuote
			}
			quoted := s.text[s.at+1 : s.at+1+end]
			s.line += strings.Count(quoted, "\n")
			w = append(w, piece{text: quoted, quoted: true})
			s.at += end + 2
		case c == '"' || c == '$' && strings.HasPrefix(s.text[s.at:], `$"`):
			s.at += strings.IndexByte(s.text[s.at:], '"') + 1
			inner, err := s.quoted()
			if err != nil {
				return nil, err
			}
			w = append(w, inner...)
		case c == '$':
			w = append(w, s.variable(false))
		default:
			w = append(w, piece{text: s.literal("\\'\"$\n;&|{}" + blanks)})
		}
	}
	return w, nil
}

// quoted scans what double quotes hold, and their end.
func (s *grubScanner) quoted() (word, error) {
	w := word{{quoted: true}} // "" is a word
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return w, nil
		case c == '$':
			w = append(w, s.variable(true))
		case c == '\\' && s.at+1 < len(s.text):
			next := s.text[s.at+1 : s.at+2]
			if strings.Contains(`$"\`, next) {
				w = append(w, piece{text: next, quoted: true})
			} else if next != "\n" {
				w = append(w, piece{text: `\` + next, quoted: true})
			}
			s.line += strings.Count(next, "\n")
			s.at += 2
		default:
			text := s.literal(`"$\`)
			s.line += strings.Count(text, "\n")
			w = append(w, piece{text: text, quoted: true})
		}
	}
	return nil, errOpenQuote
}

// literal scans at least one character, and all up to one of those.
func (s *grubScanner) literal(stop string) string {
	from := s.at
	for s.at++; s.at < len(s.text) && strings.IndexByte(stop, s.text[s.at]) < 0; s.at++ {
	}
	return s.text[from:s.at]
}

// variable scans $NAME, ${NAME}, $1 or $?. A dollar alone is itself.
func (s *grubScanner) variable(quoted bool) piece {
	s.at++
	rest := s.text[s.at:]
	name := ""
	switch {
	case rest == "":
	case rest[0] == '{':
		if end := strings.IndexByte(rest, '}'); end > 0 {
			s.at += end + 1
			return piece{text: rest[1:end], variable: true, quoted: quoted}
		}
	case isDigit(rest[0]) || strings.IndexByte("?@*#", rest[0]) >= 0:
		name = rest[:1]
	default:
		name = prefix(rest, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' })
	}
	s.at += len(name)
	if name == "" {
		return piece{text: "$", quoted: true}
	}
	return piece{text: name, variable: true, quoted: quoted}
}
