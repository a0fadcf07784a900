package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/metalpool/metalpool/core"
)

// This file alone turns a pool's errors into diagnostics. The summary says what was not
// done and what sort of failure that was; the detail why, where, and what to do.

// fault adds an error at an attribute, or at the whole block for an empty path.
func fault(diags *diag.Diagnostics, err error, at path.Path) {
	summary, detail := explain(err, nil)
	add(diags, diag.NewErrorDiagnostic(summary, detail), at)
}

// orderFault adds why an order failed, at the attribute that the pool finds fault with,
// and in which phase of the work.
func orderFault(diags *diag.Diagnostics, err error, s *story) {
	summary, detail := explain(err, s)
	add(diags, diag.NewErrorDiagnostic(summary, detail), attributeOf(err))
}

// actionFault adds why an action failed: at one of its own attributes, or at none.
func actionFault(diags *diag.Diagnostics, err error, s *story, own []string) {
	at := attributeOf(err)
	if !slices.ContainsFunc(own, func(name string) bool { return at.Equal(path.Root(name)) }) {
		at = path.Empty()
	}
	summary, detail := explain(err, s)
	add(diags, diag.NewErrorDiagnostic(summary, detail), at)
}

// policyFault adds why a pool could not be declared, changed or removed.
func policyFault(diags *diag.Diagnostics, err error) {
	at := path.Empty()
	if attributeOf(err).Equal(path.Root("image")) {
		at = path.Root("default_image")
	}
	each(err, func(e *core.Error) bool {
		for _, name := range []string{"profile", "profiles"} {
			if strings.HasPrefix(e.Op, "set pool") && e.Err != nil && strings.HasPrefix(e.Err.Error(), name+": ") {
				at = path.Root(name)
			}
		}
		return !at.Equal(path.Empty())
	})
	fault(diags, err, at)
}

// imageFault adds why an image could not be read, changed or removed.
func imageFault(diags *diag.Diagnostics, err error) {
	at := path.Empty()
	each(err, func(e *core.Error) bool {
		if strings.HasPrefix(e.Op, "examine image") {
			at = path.Root("source")
		}
		return !at.Equal(path.Empty())
	})
	fault(diags, err, at)
}

// nodeFault adds why a server could not be enrolled, changed or retired.
func nodeFault(diags *diag.Diagnostics, err error) {
	at := path.Empty()
	each(err, func(e *core.Error) bool {
		for op, name := range map[string]string{"find pool": "pool", "move to pool": "pool", "set BMC address": "bmc_url", "set network": "network"} {
			if strings.HasPrefix(e.Op, op) {
				at = path.Root(name)
			}
		}
		return !at.Equal(path.Empty())
	})
	fault(diags, err, at)
}

// taken adds that the name is taken already, and how to have what has it: by what an
// import is told.
func taken(diags *diag.Diagnostics, err error, id string) {
	summary, detail := explain(err, nil)
	detail += "\n\nIf it is this configuration's, whose state was lost: terraform import ADDRESS " + id
	add(diags, diag.NewErrorDiagnostic(summary, detail), path.Root("name"))
}

// orderDoubt adds as a warning what may be different by the time of the apply.
func orderDoubt(diags *diag.Diagnostics, err error, doubt string) {
	summary, detail := explain(err, nil)
	add(diags, diag.NewWarningDiagnostic(summary, detail+"\n\n"+doubt), attributeOf(err))
}

func add(diags *diag.Diagnostics, d diag.Diagnostic, at path.Path) {
	if !at.Equal(path.Empty()) {
		d = diag.WithPath(at, d)
	}
	diags.Append(d)
}

func explain(err error, s *story) (summary, detail string) {
	var e *core.Error
	if !errors.As(err, &e) {
		return "metalpool failed", err.Error() + reportIt(err)
	}
	next := s.outlook()
	summary = summaryOf(e)
	var b strings.Builder
	if e.Err != nil {
		b.WriteString(sentence(next.words(e.Err.Error())) + ".") // what it wraps may advise, too
	}
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n\n"+format, args...) }
	if node := nodeOf(err); node != "" {
		line("Node: %s", node)
	}
	if phase := s.phase(); phase != "" {
		line("Phase: %s", phase)
	}
	if told := core.Before(err); len(told) > 0 {
		line("What happened before, in UTC:\n  %s", strings.Join(told, "\n  "))
	}
	if hint := next.words(hintOf(err)); hint != "" {
		line("What to do: %s", hint)
		if !strings.HasSuffix(hint, "?") {
			b.WriteByte('.')
		}
	}
	return summary, strings.TrimSpace(b.String() + reportIt(err))
}

// summaryOf says in a line what was not done, and what sort of failure that was.
func summaryOf(e *core.Error) string {
	of := e.Allocation
	if of == "" && strings.HasSuffix(e.Op, " on") {
		of = string(e.Node)
	}
	what := strings.TrimSpace(e.Op + " " + of)
	verb, _, _ := strings.Cut(what, " ")
	switch verb {
	case "":
		what = "metalpool failed"
	case "step", "ssh", "cloud-init", "seed", "kexec": // no verbs
		what = sentence(what) + " failed"
	default:
		what = "Could not " + what
	}
	said := e.Kind == core.NotFound && verb == "find" || e.Kind == core.Unsuccessful && verb == "step"
	if why := sorts[e.Kind]; why != "" && !said {
		what += ": " + why
	}
	return what
}

// sorts are the sorts of failure as people say them. That a request cannot be done as it
// stands only its detail can say.
var sorts = map[core.Kind]string{
	core.Internal:     "a defect of metalpool",
	core.NotFound:     "something that it names does not exist",
	core.Exists:       "there is one already",
	core.NoCapacity:   "no server fits now",
	core.Busy:         "it is in use",
	core.LeaseLost:    "another process has taken over",
	core.Transient:    "a fault that may pass",
	core.Backend:      "the server refused or failed",
	core.Timeout:      "it took too long",
	core.Denied:       "it is not allowed",
	core.Unsuccessful: "a step failed",
}

func reportIt(err error) string {
	if core.KindOf(err) != core.Internal {
		return ""
	}
	return "\n\nThis is a defect of metalpool: please report it with the log that TF_LOG=debug shows."
}

// each calls f with every Error in the chain, outermost first, until f returns true.
func each(err error, f func(*core.Error) bool) {
	for {
		var e *core.Error
		if !errors.As(err, &e) || f(e) {
			return
		}
		err = e.Err
	}
}

func nodeOf(err error) (node core.NodeID) {
	each(err, func(e *core.Error) bool {
		node = e.Node
		return node != ""
	})
	return node
}

// hintOf is the outermost advice: it knows most of what was asked.
func hintOf(err error) (hint string) {
	each(err, func(e *core.Error) bool {
		hint = e.Hint
		return hint != ""
	})
	return hint
}

// words puts advice for people at a command line into Terraform's words.
func (o outlook) words(text string) string {
	return strings.NewReplacer(
		core.AdviceTakeOver, "set take_over = true",
		core.AdviceWait, `with wait = "30m"`,
		core.AdviceFailed, o.failed,
		core.AdviceUnfinished, o.unfinished,
		core.AdviceTime, "with timeouts { "+o.operation+" }",
	).Replace(text)
}

// attributeOf is the attribute of a machine that an error is about.
func attributeOf(err error) (at path.Path) {
	at = path.Empty()
	each(err, func(e *core.Error) bool {
		switch op, _, _ := strings.Cut(e.Op, " "); {
		case strings.HasPrefix(e.Op, "find image"), strings.HasPrefix(e.Op, "deploy image"):
			at = path.Root("image")
		case strings.HasPrefix(e.Op, "find pool"):
			at = path.Root("pool")
		case strings.HasPrefix(e.Op, "choose profile"):
			at = path.Root("profile")
		case strings.HasPrefix(e.Op, "wait for"):
			at = path.Root("wait_for")
		case e.Op == "change keys":
			at = path.Root("ssh_keys")
		case e.Op == "cloud-init", e.Op == "join user data":
			at = path.Root("user_data")
		case strings.HasSuffix(e.Op, "post_deploy"):
			at = path.Root("post_deploy")
		case strings.HasPrefix(e.Op, "power"):
			at = path.Root("power_state")
		case e.Kind == core.NoCapacity:
			at = path.Root("requirements")
		case e.Kind == core.Exists, op == "rename":
			at = path.Root("name")
		case e.Op == "acquire" && e.Node != "":
			at = path.Root("node")
		}
		return !at.Equal(path.Empty())
	})
	return at
}

// sentence begins with a capital, unless its first word is one that is written as it is: a
// name such as ann/web-1, an address, an attribute, or the x509 of another library.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(first, "/:.@_0123456789") {
		return s
	}
	letter, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(letter)) + s[size:]
}
