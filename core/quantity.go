package core

import (
	"fmt"
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

// String prints the size in the unit that shows it exactly with the fewest digits,
// four at most; else rounded to one decimal.
func (b Bytes) String() string {
	best, text := int64(10_000), ""
	for _, u := range units {
		if count := int64(b / u.size); b%u.size == 0 && count > 0 && count < best {
			best, text = count, fmt.Sprintf("%d %s", count, u.suffix)
		}
	}
	if text != "" {
		return text
	}
	for _, u := range units {
		if b >= u.size*10 {
			return fmt.Sprintf("%.1f %s", float64(b)/float64(u.size), u.suffix)
		}
	}
	return fmt.Sprintf("%d B", int64(b))
}

func join[T ~string](items []T, sep string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, sep)
}
