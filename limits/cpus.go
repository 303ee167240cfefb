package limits

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CPUs is an amount of CPU time per time in billionths of a CPU; zero means not set. It is the flag value of --cpus.
type CPUs int64

// OneCPU is the whole of one CPU.
const OneCPU CPUs = 1e9

// Set parses a decimal number or a fraction: 0.5, 1.25, 1/2.
func (c *CPUs) Set(text string) error {
	n, err := ParseCPUs(text)
	if err != nil {
		return err
	}
	*c = n
	return nil
}

// String prints a decimal number with three digits, as docker does; the empty value prints nothing.
func (c CPUs) String() string {
	if c == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(c)/float64(OneCPU), 'f', 3, 64)
}

// Type names the value in help texts.
func (CPUs) Type() string { return "decimal" }

// ParseCPUs reads what docker's --cpus takes; more than nine decimal places are an error.
func ParseCPUs(text string) (CPUs, error) {
	if upper, lower, ok := strings.Cut(text, "/"); ok {
		return parseFraction(text, upper, lower)
	}
	whole, places, _ := strings.Cut(strings.TrimPrefix(text, "+"), ".")
	negative := strings.HasPrefix(whole, "-")
	whole = strings.TrimPrefix(whole, "-")
	if whole+places == "" || strings.Trim(whole+places, "0123456789") != "" {
		return 0, fmt.Errorf("failed to parse %s as a rational number", text)
	}
	places = strings.TrimRight(places, "0")
	if len(places) > 9 {
		return 0, errors.New("value is too precise")
	}
	n, err := strconv.ParseInt(whole+places+strings.Repeat("0", 9-len(places)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("failed to parse %s as a rational number", text)
	}
	if negative {
		n = -n
	}
	return CPUs(n), nil
}

func parseFraction(text, upper, lower string) (CPUs, error) {
	n, err1 := strconv.ParseInt(upper, 10, 32)
	d, err2 := strconv.ParseInt(lower, 10, 32)
	if err1 != nil || err2 != nil || d <= 0 {
		return 0, fmt.Errorf("failed to parse %s as a rational number", text)
	}
	if n*1e9%d != 0 {
		return 0, errors.New("value is too precise")
	}
	return CPUs(n * 1e9 / d), nil
}
