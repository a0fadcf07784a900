package redfish

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// explain is the one place that turns what went wrong with a BMC into a core.Error.
// An error that is one already, such as the fence's, is kept.
func explain(ctx context.Context, op string, at address, scrub func(string) string, err error) error {
	if err == nil {
		return nil
	}
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours
	}
	kind, what, hint := diagnose(ctx, at, err)
	longest := longest
	var wrong *wrongError
	var dropped *notAppliedError
	if errors.As(err, &wrong) || errors.As(err, &dropped) {
		longest *= 10 // our own words, which name every setting
	}
	return &core.Error{Op: op, Kind: kind, Hint: hint, Err: &causeError{text: "BMC " + at.base + ": " + shorten(scrub(what), longest), err: err}}
}

// longest is how much of a BMC's own words an error holds. The cut comes after the
// scrub: half a password is no longer found.
const longest = 400

// causeError has the text that people read, and keeps the chain for errors.Is.
type causeError struct {
	text string
	err  error
}

func (c *causeError) Error() string { return c.text }
func (c *causeError) Unwrap() error { return c.err }

func diagnose(ctx context.Context, at address, err error) (kind core.Kind, what, hint string) {
	var (
		answer    *schemas.Error
		changed   *certificateError
		stopped   *fencedError
		foreign   foreignLinkError
		page      *notRedfishError
		pick      *ambiguousError
		missing   *missingError
		job       *failedJobError
		unsettled *unsettledError
		wrong     *wrongError
		lacking   *noFacetError
		dropped   *notAppliedError
		preserved *preservedError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &stopped):
		return core.KindOf(stopped.err), stopped.Error(), ""
	case errors.As(err, &changed):
		return core.Denied, changed.Error(), "if the BMC got a new certificate, accept it with " + at.accept("--fingerprint", changed.got) + "; else somebody is in between"
	case untrusted(err):
		return core.Denied, "its certificate is not trusted: " + bare(err), "give the CA that signed it, or record its fingerprint with " + at.accept("--fingerprint", "…")
	case errors.As(err, &wrong):
		return core.Invalid, wrong.Error(), "change what is wanted of this server, or of which servers it is wanted ('only')" + at.lists(wrong.list)
	case errors.As(err, &preserved):
		return core.Denied, preserved.Error(), "want other drives, or take these off the list of those preserved"
	case errors.As(err, &lacking):
		return core.Backend, lacking.Error(), "want it of servers alone that have it ('only')"
	case errors.As(err, &dropped):
		return core.Backend, dropped.Error(), "the firmware may not take them together, or not on this model; look at the server's log"
	case errors.As(err, &answer) && answer.HTTPReturnedStatusCode != 0:
		return diagnoseAnswer(answer)
	case errors.As(err, &foreign), errors.As(err, &job):
		return core.Backend, bare(err), ""
	case errors.As(err, &page):
		return core.Backend, page.Error(), "check that the URL is the BMC's own address"
	case errors.As(err, &pick):
		return core.Backend, pick.Error(), "name one in the URL: " + at.base + pick.example()
	case errors.As(err, &missing):
		return core.Backend, missing.Error(), ""
	case errors.As(err, &unsettled):
		if unsettled.err != nil {
			return core.Timeout, unsettled.Error(), "allow more time, or look at the server's console"
		}
		return core.Backend, unsettled.Error(), "look at the server's console; resetting the BMC helps at times"
	case ctx.Err() != nil:
		return outOfTime(ctx, err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return core.Backend, "what answers there does not speak TLS", "check the port of the URL"
	case errors.Is(err, errTooLong):
		return core.Backend, bare(err), ""
	case neverSent(err):
		return core.Transient, "no contact: " + plainly(err), hintContact
	case timedOut(err):
		return core.Transient, plainly(err), "the BMC may be busy or restarting; try again"
	}
	return core.Transient, "the connection broke: " + bare(err), "the BMC may be restarting; try again"
}

// outOfTime says what was met when the caller's time was over.
func outOfTime(ctx context.Context, err error) (kind core.Kind, what, hint string) {
	cause := context.Cause(ctx)
	switch {
	case !errors.Is(cause, context.DeadlineExceeded):
		return core.Timeout, "stopped before it answered: " + cause.Error(), ""
	case neverSent(err):
		return core.Timeout, "no contact in the time allowed: " + plainly(err), hintContact
	}
	return core.Timeout, "no answer in the time allowed", hintContact
}

const hintContact = "check that the BMC has power and that this host reaches it"

// plainly is an error in words that say what happened, where Go's say how it was
// found out.
func plainly(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || timedOut(err) {
		return "no answer"
	}
	return bare(err)
}

// diagnoseAnswer tells a refusal, in the BMC's own words, from a passing one.
func diagnoseAnswer(e *schemas.Error) (kind core.Kind, what, hint string) {
	status := e.HTTPReturnedStatusCode
	what = "answered " + statusText(status)
	if text := said(e); text != "" {
		what += ": " + text
	}
	switch {
	case status == http.StatusUnauthorized:
		return core.Denied, what, "check the user and password of the BMC"
	case status == http.StatusForbidden:
		return core.Denied, what, "the BMC's user needs the rights to configure and operate the server"
	case passing(e, allBusyIDs),
		status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return core.Transient, what, "try again"
	}
	return core.Backend, what, ""
}

// said is what the BMC tells about its refusal, of bounded length.
func said(e *schemas.Error) string {
	var texts []string
	for _, info := range e.ExtendedInfos {
		if s := sentence(info.Message, info.MessageID); s != "" {
			texts = append(texts, s)
		}
	}
	if len(texts) == 0 {
		texts = append(texts, sentence(e.Message, e.Code))
	}
	return strings.Join(texts, " ")
}

// sentence is a Redfish message with its ID, which is what people search for.
func sentence(message, id string) string {
	message = strings.Join(strings.Fields(message), " ")
	switch {
	case id == "":
		return message
	case message == "":
		return id
	}
	return message + " (" + id + ")"
}

// bare is an error without the method and URL that net/http puts in front.
func bare(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	return err.Error()
}

// untrusted reports a certificate that did not pass.
func untrusted(err error) bool {
	var (
		changed *certificateError
		verify  *tls.CertificateVerificationError
	)
	return errors.As(err, &changed) || errors.As(err, &verify)
}

// scrubber removes the password from a text, as it is and as HTTP carries it: a
// broken BMC may echo what it got.
func scrubber(user, password string) func(string) string {
	if len(password) < 4 { // it would take ordinary text apart
		return func(s string) string { return s }
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return strings.NewReplacer(basic, "***", password, "***").Replace
}

// shorten cuts a text and takes control characters out: it comes from outside and
// ends on a terminal.
func shorten(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

func quote(s string, most int) string {
	return strconv.Quote(shorten(strings.Join(strings.Fields(s), " "), most))
}

// missingError is something that a verb needs and this BMC does not have.
type missingError struct{ what string }

func (m *missingError) Error() string { return "it has no " + m.what }

// ambiguousError is a BMC with several systems, none of which is the obvious one.
type ambiguousError struct{ systems []string }

func (a *ambiguousError) Error() string {
	return fmt.Sprintf("it serves %d systems and none is the obvious one: %s", len(a.systems), strings.Join(a.systems, ", "))
}

func (a *ambiguousError) example() string { return a.systems[0] }

// notRedfishError is an answer that a Redfish service does not give.
type notRedfishError struct {
	path, kind, server, text string
	err                      error
}

func (e *notRedfishError) Unwrap() error { return e.err }

func (e *notRedfishError) Error() string {
	var b strings.Builder
	b.WriteString("what answers at " + e.path + " is not Redfish: ")
	if strings.TrimSpace(e.text) == "" {
		b.WriteString("an empty answer")
	} else {
		b.WriteString(strings.TrimSpace(e.kind + " that begins with " + quote(e.text, 60)))
	}
	if e.server != "" {
		b.WriteString(", from a server that calls itself " + quote(e.server, 40))
	}
	return b.String()
}
