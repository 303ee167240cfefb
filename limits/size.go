package limits

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes; zero means not set. It is a flag value in Docker's notation: 200M, 100m, 1g, 1.5GiB.
type Size int64

// Set parses as docker's --memory does.
func (s *Size) Set(text string) error {
	n, err := ParseSize(text)
	if err != nil {
		return err
	}
	*s = Size(n)
	return nil
}

// String prints with a binary unit; the empty value prints "0".
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	return BytesSize(float64(s))
}

// Type names the value in help texts, as docker does.
func (Size) Type() string { return "bytes" }

// Swap is a limit of memory and swap together: -1 is no limit, zero means not set.
type Swap int64

// Set parses a size or -1.
func (s *Swap) Set(text string) error {
	if text == "-1" {
		*s = -1
		return nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return err
	}
	*s = Swap(n)
	return nil
}

// String prints as Size does, and -1 as it is.
func (s Swap) String() string {
	if s == -1 {
		return "-1"
	}
	return Size(s).String()
}

// Type names the value in help texts.
func (Swap) Type() string { return "bytes" }

// ParseSize reads a number with an optional unit b, k, m, g, t or p of 1024, in either case and optionally followed by b or
// ib. It accepts and refuses what docker/go-units' RAMInBytes does, with the same words.
func ParseSize(text string) (int64, error) {
	end := strings.LastIndexAny(text, "01234567890. ")
	if end < 0 {
		return -1, fmt.Errorf("invalid size: '%s'", text)
	}
	number, unit := text[:end+1], text[end+1:]
	if text[end] == ' ' {
		number = text[:end]
	}
	size, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return -1, err
	}
	if size < 0 {
		return -1, fmt.Errorf("invalid size: '%s'", text)
	}
	if unit == "" {
		return int64(size), nil
	}
	factor, ok := binaryUnit(strings.ToLower(unit))
	if !ok {
		return -1, fmt.Errorf("invalid suffix: '%s'", strings.ToLower(unit))
	}
	return int64(size * factor), nil
}

// binaryUnit returns the factor of a lower-case unit.
func binaryUnit(unit string) (float64, bool) {
	if unit == "b" {
		return 1, true
	}
	power := strings.IndexByte("bkmgtp", unit[0])
	if power < 1 || len(unit) > 1 && unit[1:] != "b" && unit[1:] != "ib" {
		return 0, false
	}
	factor := 1.0
	for range power {
		factor *= 1024
	}
	return factor, true
}

// BytesSize prints bytes with four digits and binary units, as in docker stats' memory column: 3.805MiB.
func BytesSize(size float64) string {
	return humanSize(size, 1024, "%.4g%s", [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// HumanSize prints bytes with three digits and decimal units, as in docker stats' input and output columns: 1.2kB.
func HumanSize(size float64) string {
	return humanSize(size, 1000, "%.3g%s", [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"})
}

func humanSize(size, base float64, format string, units [7]string) string {
	i := 0
	for size >= base && i < len(units)-1 {
		size /= base
		i++
	}
	return fmt.Sprintf(format, size, units[i])
}
