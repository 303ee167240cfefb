package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	root, err := packageRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := numberTables()
	if err != nil {
		t.Fatal(err)
	}
	policies, err := policyFiles()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(files, policies)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what go generate writes", name)
		}
	}
}

// The kernel's headers know x32's numbers; compare what x32 derives with them where they are installed.
func TestX32NumbersEqualTheKernelHeaders(t *testing.T) {
	header, err := os.ReadFile("/usr/include/x86_64-linux-gnu/asm/unistd_x32.h")
	if err != nil {
		t.Skip("no kernel headers for x32: ", err)
	}
	files, err := numberTables()
	if err != nil {
		t.Fatal(err)
	}
	ours := parseTable(t, files["profile/numbers/x32"])
	found := regexp.MustCompile(`#define __NR_(\w+) \(__X32_SYSCALL_BIT \+ (\d+)\)`).FindAllStringSubmatch(string(header), -1)
	theirs := map[string]uint32{}
	for _, m := range found {
		n, _ := strconv.ParseUint(m[2], 10, 32)
		theirs[m[1]] = uint32(n)
		if ours[m[1]] != uint32(n) {
			t.Errorf("%s: table %d, header %d", m[1], ours[m[1]], n)
		}
	}
	if len(theirs) < 300 {
		t.Fatalf("the header has only %d numbers", len(theirs))
	}
	const newestOfOldestHeader = 450
	for name, n := range ours {
		probe := name == "uprobe" || name == "uretprobe" // numbers below, added in Linux 6.11
		if _, ok := theirs[name]; !ok && !probe && n <= newestOfOldestHeader {
			t.Errorf("%s %d is in the table and not in the header", name, n)
		}
	}
}

func parseTable(t *testing.T, text []byte) map[string]uint32 {
	t.Helper()
	table := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+) (\d+)$`).FindAllSubmatch(text, -1) {
		n, err := strconv.ParseUint(string(m[2]), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		table[string(m[1])] = uint32(n)
	}
	return table
}
