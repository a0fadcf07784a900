package redfish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// BootMediaOnce writes the one-time override and reads it back.
func (b *conversation) BootMediaOnce(ctx context.Context) error {
	return b.verb(ctx, "boot from media once", func(t talk) error {
		target := firstOf(t.links[factTarget], "Cd")
		mode := t.links[factMode]
		return t.writeBoot("", override{Target: target, Enabled: "Once", Mode: mode}, func(s boot) bool {
			return s.Enabled == "Once" && string(s.Target) == target && (mode == "" || s.Mode == "" || string(s.Mode) == mode)
		})
	})
}

// ClearBoot writes nothing where nothing is set: each write may wear out NVRAM, and
// with some vendors makes the next start ask questions.
func (b *conversation) ClearBoot(ctx context.Context) error {
	return b.verb(ctx, "clear boot override", func(t talk) error {
		var s struct{ Boot boot }
		etag, err := t.get(t.bootLink(), &s)
		if err != nil || cleared(s.Boot) {
			return err
		}
		o := override{Enabled: "Disabled"}
		if t.manners.Mode == modeAlways {
			o.Mode = t.links[factMode]
		}
		if len(s.Boot.Targets) == 0 || slices.Contains(s.Boot.Targets, "None") {
			o.Target = "None"
		}
		return t.writeBoot(etag, o, cleared)
	})
}

func cleared(s boot) bool {
	return s.Enabled == "Disabled" || s.Enabled == "" && (s.Target == "None" || s.Target == "")
}

type override struct {
	Target  string `json:"BootSourceOverrideTarget,omitempty"`
	Enabled string `json:"BootSourceOverrideEnabled"`
	Mode    string `json:"BootSourceOverrideMode,omitempty"`
}

// writeBoot changes the boot settings where they are and reads them back there: at
// some BMCs the system shows them only after the next start.
func (t talk) writeBoot(etag string, o override, done func(boot) bool) error {
	at := t.bootLink()
	if t.manners.BootETag && etag == "" {
		var s struct{ Boot boot }
		var err error
		if etag, err = t.get(at, &s); err != nil {
			return err
		}
	}
	if !t.manners.BootETag {
		etag = ""
	}
	return t.settle(
		func() error {
			err := t.patch(at, etag, map[string]any{"Boot": o})
			if o.Mode != "" && t.manners.Mode == modeIfShown && refusesProperty(err) {
				o.Mode = "" // a BMC that shows a mode need not let it be set
				err = t.patch(at, etag, map[string]any{"Boot": o})
			}
			return err
		},
		func() (bool, string, error) {
			var s struct{ Boot boot }
			_, err := t.get(at, &s)
			return done(s.Boot), fmt.Sprintf("boot override %s, %s", firstOf(string(s.Boot.Target), "none"), firstOf(string(s.Boot.Enabled), "unknown")), err
		},
	)
}

// refusesProperty reports a refusal of something in the request, by the messages of
// the Base registry: PropertyUnknown, PropertyNotWritable, PropertyValueNotInList.
func refusesProperty(err error) bool {
	var answer *schemas.Error
	return errors.As(err, &answer) && slices.ContainsFunc(messageIDs(answer), func(id string) bool { return strings.HasPrefix(id, "Property") })
}

func (t talk) bootLink() string { return firstOf(t.links[linkBoot], t.links[linkSystem]) }

// bootResource is where boot settings are written.
func bootResource(s system, m manners) string {
	switch {
	case m.BootAt == "":
		return s.ID
	case m.BootAt != "@Redfish.Settings":
		return strings.TrimSuffix(s.ID, "/") + "/" + m.BootAt
	case s.Settings.Object != "":
		return string(s.Settings.Object)
	}
	return s.ID
}

// bootTarget is what this BMC calls its virtual CD as a boot source.
func bootTarget(s boot, m manners) string {
	for _, name := range []string{m.BootTarget, "Cd", "UsbCd"} {
		if name != "" && (len(s.Targets) == 0 || slices.Contains(s.Targets, name)) {
			return name
		}
	}
	return "Cd"
}

// bootMode is UEFI wherever there is a choice: our boot media and the images that
// it lays down start that way.
func bootMode(s boot, m manners) string {
	switch {
	case m.Mode == modeNever:
		return ""
	case m.Mode == modeAlways, s.Mode == "UEFI", slices.Contains(s.Modes, "UEFI"):
		return "UEFI"
	}
	return ""
}
