package limits

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rate bounds the input or output of one block device.
type Rate struct {
	Path string `json:"path"`
	Rate uint64 `json:"rate"` // bytes or operations per second
}

// BytesRates is the flag value of a repeated --device-read-bps or --device-write-bps: PATH:SIZE.
type BytesRates []Rate

// Set adds one.
func (l *BytesRates) Set(text string) error {
	path, value, err := cutDevice(text)
	if err != nil {
		return err
	}
	rate, err := ParseSize(value)
	if err != nil {
		return fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>[<unit>]. "+
			"Number must be a positive integer. Unit is optional and can be kb, mb, or gb", text)
	}
	*l = append(*l, Rate{Path: path, Rate: uint64(rate)})
	return nil
}

// String prints all in brackets.
func (l BytesRates) String() string { return formatRates(l) }

// Type names the value in help texts.
func (BytesRates) Type() string { return "list" }

// CountRates is the flag value of a repeated --device-read-iops or --device-write-iops: PATH:NUMBER.
type CountRates []Rate

// Set adds one.
func (l *CountRates) Set(text string) error {
	path, value, err := cutDevice(text)
	if err != nil {
		return err
	}
	rate, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>. "+
			"Number must be a positive integer", text)
	}
	*l = append(*l, Rate{Path: path, Rate: rate})
	return nil
}

// String prints all in brackets.
func (l CountRates) String() string { return formatRates(l) }

// Type names the value in help texts.
func (CountRates) Type() string { return "list" }

func cutDevice(text string) (path, value string, err error) {
	path, value, ok := strings.Cut(text, ":")
	if !ok || path == "" {
		return "", "", fmt.Errorf("bad format: %s", text)
	}
	if !strings.HasPrefix(path, "/dev/") {
		return "", "", fmt.Errorf("bad format for device path: %s", text)
	}
	return path, value, nil
}

func formatRates(rates []Rate) string {
	words := make([]string, len(rates))
	for i, r := range rates {
		words[i] = fmt.Sprintf("%s:%d", r.Path, r.Rate)
	}
	slices.Sort(words)
	return "[" + strings.Join(words, " ") + "]"
}
