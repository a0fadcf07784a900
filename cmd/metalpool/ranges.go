package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// rangePattern finds [1-4], [01-40] and [1,3,7-9]. An IPv6 address has colons
// between its brackets and is none.
var rangePattern = regexp.MustCompile(`\[([0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*)\]`)

// maxRange is more servers than one line should enroll: a slip such as [1-99999]
// shall not knock at every door of a network.
const maxRange = 4096

// expandRanges writes out every range of a text: "10.0.0.[1-3]" is three texts. The
// last range counts fastest. Numbers keep the width of the first: [01-10].
func expandRanges(text string) ([]string, error) {
	at := rangePattern.FindStringSubmatchIndex(text)
	if at == nil {
		return []string{text}, nil
	}
	numbers, err := rangeNumbers(text[at[2]:at[3]])
	if err != nil {
		return nil, err
	}
	rest, err := expandRanges(text[at[1]:])
	if err != nil {
		return nil, err
	}
	if len(numbers)*len(rest) > maxRange {
		return nil, fmt.Errorf("%q stands for more than %d of them; give them in parts", text, maxRange)
	}
	var all []string
	for _, number := range numbers {
		for _, tail := range rest {
			all = append(all, text[:at[0]]+number+tail)
		}
	}
	return all, nil
}

func rangeNumbers(list string) ([]string, error) {
	var numbers []string
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from > to {
			return nil, fmt.Errorf("the range [%s] does not go upwards; write [1-40]", part)
		}
		if to-from >= maxRange {
			return nil, fmt.Errorf("the range [%s] has more than %d numbers; give them in parts", part, maxRange)
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, fmt.Sprintf("%0*d", len(first), n))
		}
	}
	return numbers, nil
}
