package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// agrees asks a question that is answered with y or n, on the terminal. Nothing is no.
func (a *app) agrees(question string) (bool, error) {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(a.in, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// agreed refuses to go on with what cannot be undone, unless somebody on a terminal says
// yes to it. what is that in a few words, for whoever cannot be asked.
func (a *app) agreed(what, about string) error {
	if !terminalInput(a.in) {
		return usagef("%s, and there is no terminal to ask on; say so with --yes", what)
	}
	yes, err := a.agrees(about + " Go on?")
	if err == nil && !yes {
		err = errors.New("nothing was done")
	}
	return err
}
