package bootcfg

import (
	"fmt"
	"strings"
)

// A GRUB script as it is parsed: statements of words, and words of pieces.

// piece is a part of a word: text, or a variable's name.
type piece struct {
	text     string
	variable bool
	quoted   bool // its value is not split into words
}

type word []piece

// plain is the text of a word that nothing in is quoted or expanded, as keywords are.
func (w word) plain() string {
	if len(w) == 1 && !w[0].variable && !w[0].quoted {
		return w[0].text
	}
	return ""
}

// statement is a simple command, with the block that may follow it, or a compound.
type statement struct {
	words []word
	block []statement // of menuentry, submenu, function
	// if: pairs of condition and body, the last condition empty for else.
	// for, while, until: one pair.
	compound string
	branches []branch
}

type branch struct {
	condition []statement
	body      []statement
}

// token is a word, or one of ; { and }.
type token struct {
	word word
	mark byte // ';' also for a line's end
	line int
}

// maxNesting bounds blocks within blocks.
const maxNesting = 50

type grubParser struct {
	tokens []token
	at     int
	depth  int
}

// parseGrub parses a script.
func parseGrub(text string) ([]statement, error) {
	tokens, err := scanGrub(text)
	if err != nil {
		return nil, err
	}
	p := &grubParser{tokens: tokens}
	list, err := p.list()
	if err == nil && p.at < len(p.tokens) {
		err = p.fail("a command")
	}
	return list, err
}

func (p *grubParser) fail(want string) error {
	if p.at >= len(p.tokens) {
		return fmt.Errorf("the script ends where %s is wanted", want)
	}
	t := p.tokens[p.at]
	got := t.word.plain()
	if t.mark != 0 {
		got = string(t.mark)
	}
	return fmt.Errorf("line %d has %q where %s is wanted", t.line, got, want)
}

// next is the keyword or mark that comes, "" for any other word.
func (p *grubParser) next() string {
	if p.at >= len(p.tokens) {
		return "end"
	}
	if t := p.tokens[p.at]; t.mark != 0 {
		return string(t.mark)
	}
	return p.tokens[p.at].word.plain()
}

func (p *grubParser) skip(marks string) {
	for p.at < len(p.tokens) && p.tokens[p.at].mark != 0 && strings.IndexByte(marks, p.tokens[p.at].mark) >= 0 {
		p.at++
	}
}

func (p *grubParser) want(what string) error {
	if p.next() != what {
		return p.fail(what)
	}
	p.at++
	return nil
}

// list parses statements up to what cannot begin one.
func (p *grubParser) list() ([]statement, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("the script nests deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	var found []statement
	for {
		p.skip(";")
		switch p.next() {
		case "end", "}", "then", "elif", "else", "fi", "do", "done":
			return found, nil
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
}

func (p *grubParser) statement() (statement, error) {
	switch keyword := p.next(); keyword {
	case "if":
		return p.branching()
	case "while", "until":
		p.at++
		s := statement{compound: keyword}
		return s, p.loop(&s)
	case "for":
		return p.each()
	case "{":
		return statement{}, p.fail("a command")
	}
	return p.simple()
}

func (p *grubParser) branching() (statement, error) {
	s := statement{compound: "if"}
	for keyword := "if"; ; keyword = p.next() {
		p.at++
		var b branch
		var err error
		if keyword != "else" {
			if b.condition, err = p.list(); err != nil {
				return s, err
			}
			if err := p.want("then"); err != nil {
				return s, err
			}
		}
		if b.body, err = p.list(); err != nil {
			return s, err
		}
		s.branches = append(s.branches, b)
		if p.next() == "fi" {
			p.at++
			return s, nil
		}
		if n := p.next(); keyword == "else" || n != "elif" && n != "else" {
			return s, p.fail("fi")
		}
	}
}

// each parses for NAME in WORDS; do LIST done.
func (p *grubParser) each() (statement, error) {
	p.at++
	s := statement{compound: "for"}
	for p.at < len(p.tokens) && p.tokens[p.at].mark == 0 {
		s.words = append(s.words, p.tokens[p.at].word)
		p.at++
	}
	if len(s.words) < 2 || s.words[1].plain() != "in" {
		return s, p.fail("for NAME in")
	}
	p.skip(";")
	if err := p.want("do"); err != nil {
		return s, err
	}
	body, err := p.list()
	if err != nil {
		return s, err
	}
	s.branches = []branch{{body: body}}
	return s, p.want("done")
}

func (p *grubParser) loop(s *statement) error {
	condition, err := p.list()
	if err != nil {
		return err
	}
	if err := p.want("do"); err != nil {
		return err
	}
	body, err := p.list()
	if err != nil {
		return err
	}
	s.branches = []branch{{condition, body}}
	return p.want("done")
}

func (p *grubParser) simple() (statement, error) {
	var s statement
	for p.at < len(p.tokens) && p.tokens[p.at].mark == 0 {
		s.words = append(s.words, p.tokens[p.at].word)
		p.at++
	}
	if s.words == nil {
		return s, p.fail("a command")
	}
	if s.words[0].plain() == "function" {
		p.skip(";") // its brace may be on the next line
	}
	if p.next() != "{" {
		return s, nil
	}
	p.at++
	block, err := p.list()
	if err != nil {
		return s, err
	}
	s.block = append([]statement{}, block...) // an empty block is one, too
	return s, p.want("}")
}
