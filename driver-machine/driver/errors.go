package driver

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/metalpool/metalpool/core"
)

const (
	// deniedAdvice is for pools behind https://, internalAdvice for what should not be.
	deniedAdvice   = "the token is that of " + tokenVariable + ", else of 'metalpool login', on each command, and never stored with the machine"
	internalAdvice = "this is a defect of metalpool: please report it with what 'docker-machine -D' prints"
)

// Compiled when first needed: `ls` starts a plugin for every machine.
var notFound = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)not found`) })

// explain turns an error into the text that docker-machine prints. net/rpc carries
// nothing else, so the text must tell all, on one line. The exit code is
// docker-machine's own: 3 where the check before a create fails and nothing was
// stored, else 1.
//
// rancher-machine takes "not found" anywhere in an error of rm for proof that the
// machine is gone, and drops its record: a BMC's 404 would lose a server. So those
// words are never said.
func (d *Driver) explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch kind := core.KindOf(err); {
	case kind == core.Internal:
		text += "; " + internalAdvice
	case kind == core.Denied && strings.HasPrefix(d.URL, "https://"):
		text += "; " + deniedAdvice
	}
	if told := core.Before(err); len(told) > 0 {
		text += "; what happened before, in UTC: " + strings.Join(told, "; ")
	}
	// docker-machine creates no machine twice: what was begun under its record can only go.
	giveBack := "'docker-machine rm -y " + d.MachineName + "' gives it back"
	text = strings.NewReplacer(
		core.AdviceWait, "with --metalpool-wait 30m",
		core.AdviceTime, "with --metalpool-deploy-timeout",
		core.AdviceFailed, giveBack,
		core.AdviceUnfinished, giveBack,
	).Replace(text)
	return errors.New(notFound().ReplaceAllString(oneLine(text), "missing"))
}

// localFault is a fault of this host's own files.
func localFault(doing, path string, err error) error {
	return &core.Error{Op: doing + " " + path, Kind: core.Invalid, Err: err, Hint: "see the rights of that file and its folder"}
}
