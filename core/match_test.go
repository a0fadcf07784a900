package core

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMismatch(t *testing.T) {
	node := Node{
		ID: "n1", Spec: NodeSpec{Labels: map[string]string{"rack": "r1", "tier": "prod"}},
		Hardware: Hardware{
			Arch: "amd64", CPUs: 16, Memory: 64 * GiB,
			Disks: []Disk{{Serial: "a", Kind: SSD, Size: 480e9}, {Serial: "b", Kind: NVMe, Size: 960e9}, {Serial: "c", Kind: HDD, Size: 8e12}, {Serial: "usb", Removable: true, Size: 32e9}},
			NICs:  []NIC{{MAC: "02:00:00:00:00:01", Mbps: 25000}, {MAC: "02:00:00:00:00:02", Mbps: 25000}, {MAC: "02:00:00:00:00:03"}},
			GPUs:  []GPU{{Model: "NVIDIA A100-SXM4"}, {Model: "NVIDIA T4"}},
		},
	}
	label := func(key string, op SelectorOp, values ...string) Request {
		return Request{Labels: []Selector{{Label: key, Op: op, Values: values}}}
	}
	disks := func(needs ...DiskNeed) Request { return Request{Disks: needs} }
	for _, test := range []struct {
		name string
		ask  Request
		want string
	}{
		{"anything", Request{}, ""},
		{"this node", Request{Node: "n1"}, ""},
		{"another node", Request{Node: "n2"}, "is not n2"},
		{"architecture", Request{Arch: "amd64"}, ""},
		{"other architecture", Request{Arch: "arm64"}, "has architecture amd64, not arm64"},
		{"CPUs", Request{CPUs: 16}, ""},
		{"more CPUs", Request{CPUs: 17}, "has 16 of the 17 CPUs asked for"},
		{"memory", Request{Memory: 64 * GiB}, ""},
		{"more memory", Request{Memory: 128 * GiB}, "has 64 GiB of the 128 GiB memory asked for"},
		{"=", label("rack", OpEqual, "r1"), ""},
		{"= another", label("rack", OpEqual, "r2"), "has rack=r1 (asked for rack=r2)"},
		{"= missing", label("zone", OpEqual, "a"), "has no label zone (asked for zone=a)"},
		{"!=", label("rack", OpNotEqual, "r2"), ""},
		{"!= same", label("rack", OpNotEqual, "r1"), "has rack=r1 (asked for rack!=r1)"},
		{"!= missing", label("zone", OpNotEqual, "a"), ""},
		{"in", label("rack", OpIn, "r0", "r1"), ""},
		{"in others", label("rack", OpIn, "r2", "r3"), "has rack=r1 (asked for rack in (r2,r3))"},
		{"in missing", label("zone", OpIn, "a"), "has no label zone (asked for zone in (a))"},
		{"notin", label("rack", OpNotIn, "r2"), ""},
		{"notin same", label("rack", OpNotIn, "r1", "r2"), "has rack=r1 (asked for rack notin (r1,r2))"},
		{"notin missing", label("zone", OpNotIn, "a"), ""},
		{"exists", label("rack", OpExists), ""},
		{"exists not", label("zone", OpExists), "has no label zone (asked for zone exists)"},
		{"any disk", disks(DiskNeed{Count: 3}), ""},
		{"a removable disk is none", disks(DiskNeed{Count: 4}), "has 3 of the 4 disks of 0 B asked for"},
		{"NVMe is SSD", disks(DiskNeed{Count: 2, Kind: SSD}), ""},
		{"SSD is not NVMe", disks(DiskNeed{Count: 2, Kind: NVMe}), "has 1 of the 2 nvme disks of 0 B asked for"},
		{"size", disks(DiskNeed{Count: 1, Size: 8e12, Kind: HDD}), ""},
		{"larger", disks(DiskNeed{Count: 1, Size: 9e12}), "has 0 of the 1 disks of 9 TB asked for"},
		{"one disk, one need", disks(DiskNeed{Count: 1, Kind: NVMe}, DiskNeed{Count: 2, Kind: SSD}), "has 1 of the 2 ssd disks of 0 B asked for"},
		{"NICs", Request{NICs: []NICNeed{{Count: 2, Mbps: 25000}, {Count: 1}}}, ""},
		{"unknown speed", Request{NICs: []NICNeed{{Count: 3, Mbps: 1000}}}, "has 2 of the 3 NICs of 1000 Mbit/s asked for"},
		{"one NIC, one need", Request{NICs: []NICNeed{{Count: 1, Mbps: 1000}, {Count: 2, Mbps: 25000}}}, "has 0 of the 1 NICs of 1000 Mbit/s asked for"},
		{"GPUs", Request{GPUs: 2}, ""},
		{"GPU model", Request{GPUModel: "a100"}, ""},
		{"more GPUs of a model", Request{GPUs: 2, GPUModel: "A100"}, "has 1 of the 2 A100 GPUs asked for"},
		{"more GPUs", Request{GPUs: 3}, "has 2 of the 3 GPUs asked for"},
	} {
		if have := Mismatch(node, test.ask); have != test.want {
			t.Errorf("%s: got %q, want %q", test.name, have, test.want)
		}
	}
	unknown := Node{ID: "n1"}
	for _, ask := range []Request{{Arch: "amd64"}, {CPUs: 1}, {Memory: 1}, disks(DiskNeed{Count: 1}), {NICs: []NICNeed{{Count: 1}}}, {GPUs: 1}} {
		if Mismatch(unknown, ask) == "" {
			t.Errorf("a node of which nothing is known satisfies %+v", ask)
		}
	}
}

// TestDiskAssignment holds the choice of disks against trying every one.
func TestDiskAssignment(t *testing.T) {
	kinds := rapid.SampledFrom([]DiskKind{"", HDD, SSD, NVMe})
	size := rapid.Custom(func(t *rapid.T) Bytes { return Bytes(rapid.IntRange(0, 4).Draw(t, "size")) })
	rapid.Check(t, func(t *rapid.T) {
		disks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Disk {
			return Disk{Kind: kinds.Draw(t, "kind"), Size: size.Draw(t, "size"), Removable: rapid.IntRange(0, 9).Draw(t, "removable") == 0}
		}), 0, 6).Draw(t, "disks")
		needs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) DiskNeed {
			return DiskNeed{Count: rapid.IntRange(1, 2).Draw(t, "count"), Kind: kinds.Draw(t, "kind"), Size: size.Draw(t, "size")}
		}), 0, 3).Draw(t, "needs")
		before := slices.Clone(needs)
		have := mismatchDisks(disks, needs) == ""
		if want := assignable(disks, needs); have != want {
			t.Fatalf("fits: %t, and trying every choice says %t", have, want)
		}
		if !slices.Equal(before, needs) {
			t.Fatal("the request was changed")
		}
	})
}

// assignable tries every choice of a disk for the first need that is open.
func assignable(disks []Disk, needs []DiskNeed) bool {
	for i, need := range needs {
		if need.Count == 0 {
			continue
		}
		rest := slices.Clone(needs)
		rest[i].Count--
		for j, d := range disks {
			if !d.Removable && d.Size >= need.Size && d.Kind.satisfies(need.Kind) && assignable(slices.Delete(slices.Clone(disks), j, j+1), rest) {
				return true
			}
		}
		return false
	}
	return true
}

// One family of units for one thing: disks as they are sold, all else in powers of two.
func TestSizesInWords(t *testing.T) {
	for size, want := range map[Bytes][3]string{
		0:               {"0 B", "0 B", "0B"},
		1:               {"1 B", "1 B", "1B"},
		1000:            {"1000 B", "1 kB", "1kB"},
		1023:            {"1023 B", "1.02 kB", "1023B"},
		KiB:             {"1 KiB", "1.02 kB", "1KiB"},
		82 * MiB:        {"82 MiB", "86 MB", "82MiB"},
		1536 * MiB:      {"1.5 GiB", "1.61 GB", "1536MiB"},
		1758 * MiB:      {"1.72 GiB", "1.84 GB", "1758MiB"},
		8 * GiB:         {"8 GiB", "8.59 GB", "8GiB"},
		GiB - 1:         {"1 GiB", "1.07 GB", "1073741823B"},
		64 * GiB:        {"64 GiB", "68.7 GB", "64GiB"},
		480e9:           {"447 GiB", "480 GB", "480GB"},
		480103981056:    {"447 GiB", "480 GB", "480103981056B"},
		999_600_000_000: {"931 GiB", "1 TB", "999600000000B"},
		1_600_000e6:     {"1.46 TiB", "1.6 TB", "1600GB"},
		1920383410176:   {"1.75 TiB", "1.92 TB", "1920383410176B"},
		100 * TiB:       {"100 TiB", "110 TB", "100TiB"},
		4096 * TiB:      {"4096 TiB", "4504 TB", "4096TiB"},
	} {
		if got := [3]string{size.String(), DiskSize(size), size.Exactly()}; got != want {
			t.Errorf("%d is written as %q, want %q", int64(size), got, want)
		}
		if got, err := ParseBytes(size.Exactly()); err != nil || got != size {
			t.Errorf("%s is read as %d, %v", size.Exactly(), int64(got), err)
		}
	}
	for step, want := range map[string]string{"erase": "8.96 TB", "write image": "8.15 TiB"} {
		if got := (Progress{Step: step}).Amount(8960e9); got != want {
			t.Errorf("%s of %s, want %s", step, got, want)
		}
	}
}

// Kubernetes' units are not mistaken for others.
func TestParseBytesWithoutTheB(t *testing.T) {
	for text, want := range map[string]Bytes{"64Gi": 64 * GiB, "1.5 Ti": 1536 * GiB, "4Ki": 4 * KiB} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q is read as %d, %v", text, int64(got), err)
		}
	}
	for _, text := range []string{"64i", "i", "64G", "64Gii"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, text := range []string{"64GiB", "480 GB", "1.92TB", "0B", "12", "", "GiB", "-1GB", "1e400TB", "NaNGB", "InfB", "0x10kB", "9e18B", "٣GB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := ParseBytes(text)
		if err != nil {
			if !Is(err, Invalid) || size != 0 {
				t.Errorf("%q: %d, %v", text, size, err)
			}
			return
		}
		if size < 0 {
			t.Errorf("%q is %d bytes", text, int64(size))
		}
		if again, err := ParseBytes(size.Exactly()); err != nil || again != size {
			t.Errorf("%q is written as %q, which reads as %d (%v)", text, size.Exactly(), int64(again), err)
		}
		for _, words := range []string{size.String(), DiskSize(size)} {
			again, err := ParseBytes(words)
			if off := again - size; err != nil || max(off, -off) > size/100 {
				t.Errorf("%q is %q in words, which reads as %d (%v)", text, words, int64(again), err)
			}
		}
	})
}
