package core

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. It reads and prints with binary (KiB, MiB, GiB, TiB) or decimal
// (kB, MB, GB, TB) units; memory is usual in the first, disks in the second.
type Bytes int64

const (
	KiB Bytes = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

var units = []struct {
	suffix string
	size   Bytes
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads "64GiB", "64Gi", "480 GB" or "1.92TB". A bare number is refused,
// since people disagree about its unit.
func ParseBytes(s string) (Bytes, error) {
	text := strings.TrimSpace(s)
	if strings.HasSuffix(text, "i") {
		text += "B"
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(f >= 0) || f*float64(u.size) > 1<<62 {
			break
		}
		return Bytes(f * float64(u.size)), nil
	}
	return 0, &Error{Op: "read size", Kind: Invalid, Err: fmt.Errorf("%q is not a size", s), Hint: "write a number with a unit, such as 64GiB or 480GB"}
}

// String writes it for people with three digits, as all but disks are measured: memory,
// images, what is moved.
func (b Bytes) String() string { return inUnits(b, "KiB", "MiB", "GiB", "TiB") }

// DiskSize writes the size of a disk, or what is asked of one, as disks are sold:
// "1.92 TB".
func DiskSize(b Bytes) string { return inUnits(b, "kB", "MB", "GB", "TB") }

func inUnits(b Bytes, names ...string) string {
	if b < unit(names[0]) {
		return fmt.Sprintf("%d B", int64(b))
	}
	n := float64(b) / float64(unit(names[0]))
	// 999.7 GB is a terabyte once it is rounded.
	for step := float64(unit(names[1]) / unit(names[0])); len(names) > 1 && math.Round(n) >= step; names = names[1:] {
		n /= step
	}
	return threeDigits(n) + " " + names[0]
}

func unit(name string) Bytes {
	for _, u := range units {
		if u.suffix == name {
			return u.size
		}
	}
	return 1
}

// threeDigits has no zeros at its end that say nothing, and no exponent.
func threeDigits(n float64) string {
	digits := 0
	switch {
	case n < 9.995:
		digits = 2
	case n < 99.95:
		digits = 1
	}
	text := strconv.FormatFloat(n, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// TooLittle writes what there is and what is needed by write, unless that rounds them to
// the same: then to the byte.
func TooLittle(write func(Bytes) string, have, need Bytes) (there, needed string) {
	if there, needed = write(have), write(need); there == needed {
		there, needed = fmt.Sprintf("%d B", int64(have)), fmt.Sprintf("%d B", int64(need))
	}
	return there, needed
}

// Exactly writes a size as people do, so that it reads back as the same: in the unit that
// shows it with the fewest digits, "64GiB" or "480GB".
func (b Bytes) Exactly() string {
	best, text := int64(10_000), ""
	for _, u := range units {
		if count := int64(b / u.size); b%u.size == 0 && count > 0 && count < best {
			best, text = count, fmt.Sprintf("%d%s", count, u.suffix)
		}
	}
	if text == "" {
		return fmt.Sprintf("%dB", int64(b))
	}
	return text
}

func join[T ~string](items []T, sep string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, sep)
}
