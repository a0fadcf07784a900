package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// age is how long ago something was, in one unit: "3m", "2h", "5d".
func age(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	switch d := now.Sub(then); {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// ago is age in a sentence: "3m ago", "just now".
func ago(now, then time.Time) string {
	if text := age(now, then); text != "now" {
		return text + " ago"
	}
	return "just now"
}

// took is a length of time as a person would say it.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// clock is a time where seconds matter and the day is known or shown apart.
func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// stamp is a time on its own.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// labelText writes labels as they are given, in the order of their names.
// peoplesLabels are the labels that people have given a machine.
func peoplesLabels(labels map[string]string) map[string]string {
	own := maps.Clone(labels)
	maps.DeleteFunc(own, func(name, _ string) bool { return strings.HasPrefix(name, core.AdapterLabels) })
	return own
}

func labelText(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, ",")
}

// diskSummary counts disks of one size and kind together: "2x 480 GB ssd, 8 TB hdd".
func diskSummary(disks []core.Disk) string {
	var kinds []string
	count := map[string]int{}
	for _, d := range disks {
		if d.Removable {
			continue
		}
		kind := words(core.DiskSize(d.Size), string(d.Kind))
		if count[kind] == 0 {
			kinds = append(kinds, kind)
		}
		count[kind]++
	}
	for i, kind := range kinds {
		if n := count[kind]; n > 1 {
			kinds[i] = fmt.Sprintf("%dx %s", n, kind)
		}
	}
	return strings.Join(kinds, ", ")
}

// speed writes a port's speed; "" where it is not known.
func speed(mbps int) string {
	if mbps == 0 {
		return ""
	}
	return core.Speed(mbps)
}

// plural counts things: "1 node", "2 nodes".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func sizeText(b core.Bytes) string {
	if b == 0 {
		return ""
	}
	return b.String()
}

// words joins what there is with spaces.
func words(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// number is a count that is worth saying where it is 0, too.
func number(n int) string { return strconv.Itoa(n) }
