package limits

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"200M": 200 << 20, "100m": 100 << 20, "1g": 1 << 30, "1.5GiB": 3 << 29, "32": 32, "32b": 32, "32 kb": 32 << 10, "0.5k": 512,
		"1Tb": 1 << 40, "1p": 1 << 50, "0": 0,
	} {
		if n, err := ParseSize(text); err != nil || n != want {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
}

func TestParseSizeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "invalid size: ''", "hello": "invalid size: 'hello'", "-32": "invalid size: '-32'", "32x": "invalid suffix: 'x'",
		"32kx": "invalid suffix: 'kx'", "32kibs": "invalid suffix: 'kibs'", "32bb": "invalid suffix: 'bb'", "1..5k": "invalid syntax",
	} {
		if n, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %d, %v, want %q", text, n, err, want)
		}
	}
}

func TestSizesPrintAsDockerStats(t *testing.T) {
	for want, got := range map[string]string{
		"3.805MiB": BytesSize(3.805 * (1 << 20)), "200MiB": BytesSize(200 << 20), "15.62GiB": BytesSize(15.62 * (1 << 30)), "0B": BytesSize(0),
		"608KiB": BytesSize(608 << 10), "1.2kB": HumanSize(1200), "570B": HumanSize(570), "9.2MB": HumanSize(9.2e6), "1.23GB": HumanSize(1.234e9),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]CPUs{
		"0.5": 5e8, "1": 1e9, "1.25": 125e7, ".5": 5e8, "2.": 2e9, "1/2": 5e8, "0.000000001": 1, "-1": -1e9, "1.50000000000": 15e8, "+2": 2e9,
	} {
		if n, err := ParseCPUs(text); err != nil || n != want {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
	for text, want := range map[string]string{
		"x": "failed to parse x as a rational number", "": "failed to parse  as a rational number", "0.0000000001": "value is too precise",
		"1/0": "failed to parse 1/0 as a rational number", "1/3": "value is too precise", "1e1": "failed to parse 1e1 as a rational number",
	} {
		if n, err := ParseCPUs(text); err == nil || err.Error() != want {
			t.Errorf("%q: %d, %v, want %q", text, n, err, want)
		}
	}
}

func TestSets(t *testing.T) {
	for text, want := range map[string]string{"": "", "0": "0", "0-2,7": "0-2,7", "3,1,2": "1-3", "1,1": "1", "0-1\n": "0-1"} {
		set, err := ParseSet(text)
		if got := FormatSet(set); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, bad := range []string{"a", "1-", "-1", "3-1", "0-99999999", "1 2"} {
		if set, err := ParseSet(bad); err == nil || err.Error() != "invalid format: "+bad {
			t.Errorf("%q: %v, %v", bad, set, err)
		}
	}
}

func TestUlimits(t *testing.T) {
	var l Ulimits
	for _, text := range []string{"nofile=100", "core=0:-1", "nofile=1024:2048"} {
		if err := l.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.String(); got != "[core=0:-1 nofile=1024:2048]" {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"nofile": "invalid ulimit argument: nofile", "files=1": "invalid ulimit type: files",
		"nofile=1:2:3": "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
		"nofile=2:1":   "ulimit soft limit must be less than or equal to hard limit: 2 > 1",
		"nofile=-1:1":  "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 1",
		"nofile=x":     `strconv.ParseInt: parsing "x": invalid syntax`,
	} {
		if err := l.Set(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestRates(t *testing.T) {
	var bytes BytesRates
	var count CountRates
	if err := bytes.Set("/dev/sda:1mb"); err != nil || bytes.String() != "[/dev/sda:1048576]" {
		t.Error(bytes, err)
	}
	if err := count.Set("/dev/sda:100"); err != nil || count.String() != "[/dev/sda:100]" {
		t.Error(count, err)
	}
	for text, want := range map[string]string{
		"": "bad format: ", "sda:1": "bad format for device path: sda:1", "/dev/sda": "bad format: /dev/sda",
		"/dev/sda:x": "invalid rate for device: /dev/sda:x. The correct format is <device-path>:<number>",
	} {
		if err := bytes.Set(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		if err := count.Set(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestStorage(t *testing.T) {
	for text, want := range map[string]Storage{"size=2G": {Size: 2 << 30}, "size=64m,tmpfs": {Size: 64 << 20, Tmpfs: true}} {
		var s, back Storage
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
		if err := back.Set(s.String()); err != nil || back != s {
			t.Errorf("%q printed as %q", text, s)
		}
	}
	for text, want := range map[string]string{"x": "invalid storage option", "dm.size=1": "unknown option dm.size", "size=1g,loop": "unknown option loop", "size=": "invalid size: ''"} {
		var s Storage
		if err := s.Set(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// twoCPUs is a host of which everything may be used.
func twoCPUs() Facts { return Facts{CPUs: []int{0, 1}, Nodes: []int{0}, Memory: 8 << 30} }

func TestValidateSpeaksAsDockerd(t *testing.T) {
	seven, big := int64(700), int64(101)
	for _, c := range []struct {
		name   string
		limits Limits
		want   string
	}{
		{"small memory", Limits{Memory: 4 << 20}, "Minimum memory limit allowed is 6MB"},
		{"small reservation", Limits{Reservation: 4 << 20}, "Minimum memory reservation allowed is 6MB"},
		{"reservation above memory", Limits{Memory: 8 << 20, Reservation: 9 << 20}, "Minimum memory limit can not be less than memory reservation limit, see usage"},
		{"swap below memory", Limits{Memory: 8 << 20, Swap: 7 << 20}, "Minimum memoryswap limit should be larger than memory limit, see usage"},
		{"swap alone", Limits{Swap: 8 << 20}, "You should always set the Memory limit when using Memoryswap limit, see usage"},
		{"swappiness", Limits{Swappiness: &seven}, "invalid value: 700. Valid memory swappiness range is 0-100"},
		{"swappiness by one", Limits{Swappiness: &big}, "invalid value: 101. Valid memory swappiness range is 0-100"},
		{"cpus and period", Limits{CPUs: OneCPU, Period: 1000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
		{"cpus and quota", Limits{CPUs: OneCPU, Quota: 1000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"},
		{"too many cpus", Limits{CPUs: 3 * OneCPU}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"},
		{"too few cpus", Limits{CPUs: OneCPU / 1000}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"},
		{"short period", Limits{Period: 999}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
		{"short quota", Limits{Quota: 999}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
		{"absent cpu", Limits{Cpuset: "5"}, "Requested CPUs are not available - requested 5, available: 0-1"},
		{"partly absent", Limits{Cpuset: "1-2"}, "Requested CPUs are not available - requested 1-2, available: 0-1"},
		{"no cpu", Limits{Cpuset: "x"}, "Invalid value x for cpuset cpus: invalid format: x"},
		{"absent node", Limits{Mems: "1"}, "Requested memory nodes are not available - requested 1, available: 0"},
		{"weight", Limits{BlkioWeight: 9}, "Range of blkio weight is from 10 to 1000"},
		{"no oom killer", Limits{NoOOMKill: true}, "--oom-kill-disable is not possible"},
		{"nothing", Limits{}, ""},
		{"everything", everything(), ""},
	} {
		err := c.limits.Validate(twoCPUs())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// everything is one of each limit.
func everything() Limits {
	swappiness := int64(10)
	return Limits{Memory: 100 << 20, Reservation: 50 << 20, Swap: 150 << 20, Swappiness: &swappiness, CPUs: OneCPU / 2, Shares: 400,
		Cpuset: "1", Mems: "0", Pids: 20, BlkioWeight: 500, ReadBps: BytesRates{{"/dev/sda", 1000}}, WriteIOps: CountRates{{"/dev/sda", 5}},
		Ulimits: Ulimits{{"nofile", 100, 200}}, Storage: Storage{Size: 1 << 30}}
}

func TestLimitsSurviveJSON(t *testing.T) {
	text, err := json.Marshal(everything())
	var back Limits
	if err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, everything()) {
		t.Fatalf("%s, %v", text, err)
	}
	if text, _ := json.Marshal(Limits{}); string(text) != "{}" {
		t.Fatalf("nothing is written as %s", text)
	}
}

func TestUpdated(t *testing.T) {
	old := Limits{Memory: 100 << 20, CPUs: OneCPU, Cpuset: "0"}
	got, err := old.Updated(Limits{Memory: 200 << 20, Shares: 20, Pids: -1})
	if want := (Limits{Memory: 200 << 20, CPUs: OneCPU, Cpuset: "0", Shares: 20, Pids: -1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct {
		old, change Limits
		want        string
	}{
		{Limits{Period: 1000}, Limits{CPUs: OneCPU}, "Nano CPUs cannot be updated as CPU Period has already been set"},
		{Limits{Quota: 1000}, Limits{CPUs: OneCPU}, "Nano CPUs cannot be updated as CPU Quota has already been set"},
		{Limits{CPUs: OneCPU}, Limits{Period: 1000}, "CPU Period cannot be updated as NanoCPUs has already been set"},
		{Limits{CPUs: OneCPU}, Limits{Quota: 1000}, "CPU Quota cannot be updated as NanoCPUs has already been set"},
		{Limits{Memory: 1 << 30, Swap: 1 << 30}, Limits{Memory: 2 << 30}, "Memory limit should be smaller than already set memoryswap limit"},
	} {
		if _, err := c.old.Updated(c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestConversions(t *testing.T) {
	for shares, want := range map[int64]uint64{0: 0, 1: 1, 2: 1, 20: 6, 400: 49, 512: 59, 1024: 100, 1600: 143, 262144: 10000, 1 << 40: 10000} {
		if got := Weight(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
	for weight, want := range map[uint16]uint64{0: 0, 10: 1, 500: 4950, 1000: 10000} {
		if got := IOWeight(weight); got != want {
			t.Errorf("blkio weight %d: %d, want %d", weight, got, want)
		}
	}
	for shares, want := range map[int64]int{0: 0, 2: 19, 20: 18, 400: 4, 512: 3, 1024: 0, 2048: 0} {
		if got := NiceFor(shares); got != want {
			t.Errorf("%d shares: nice %d, want %d", shares, got, want)
		}
	}
}

func TestBudget(t *testing.T) {
	course := Budget{Memory: 1 << 30, Pids: 100}
	if got := course.Lowered(Budget{Memory: 2 << 30, CPUs: OneCPU, Pids: 50}); got != (Budget{1 << 30, OneCPU, 50}) {
		t.Errorf("lowered to %+v", got)
	}
	b := Budget{Memory: 1 << 30, CPUs: OneCPU, Pids: 100}
	got := b.Bound(Limits{Memory: 1 << 20, Quota: 200_000, Pids: -1})
	if got.Memory != 1<<20 || got.CPULimit() != OneCPU || got.Quota != 0 || got.Pids != 100 {
		t.Errorf("bound to %+v", got)
	}
	if got := (Budget{}).Bound(everything()); !reflect.DeepEqual(got, everything()) {
		t.Errorf("no budget changes limits: %+v", got)
	}
}
