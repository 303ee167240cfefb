package limits

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxSetMember bounds what a list may name; the kernel's largest NR_CPUS is 8192, and an absurd range must not cost memory.
const maxSetMember = 8192

// ParseSet reads a list of CPUs or memory nodes in the kernel's notation, "0-2,7" (cpuset(7), "List format"), sorted and
// without repetitions. The empty text is the empty set.
func ParseSet(text string) ([]int, error) {
	var set []int
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || low < 0 || high < low || high >= maxSetMember {
			return nil, fmt.Errorf("invalid format: %s", text)
		}
		for n := low; n <= high; n++ {
			set = append(set, n)
		}
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// FormatSet prints a sorted set in the kernel's notation.
func FormatSet(set []int) string {
	var b strings.Builder
	for i := 0; i < len(set); {
		j := i
		for j+1 < len(set) && set[j+1] == set[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(set[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(set[j]))
		}
		i = j + 1
	}
	return b.String()
}

// subset tells whether all of part is in whole.
func subset(part, whole []int) bool {
	for _, n := range part {
		if !slices.Contains(whole, n) {
			return false
		}
	}
	return true
}
