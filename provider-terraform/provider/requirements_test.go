package provider

import (
	"reflect"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"pgregory.net/rapid"

	"github.com/metalpool/metalpool/core"
)

// TestRequirementsAreLossless writes any request down as a block, as an import does, and
// reads it back as the same.
func TestRequirementsAreLossless(t *testing.T) {
	word := rapid.StringMatching(`[a-z0-9]{1,8}`)
	size := rapid.Custom(func(t *rapid.T) core.Bytes { return core.Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "size")) })
	rapid.Check(t, func(t *rapid.T) {
		r := core.Request{CPUs: rapid.IntRange(0, 512).Draw(t, "cpus"), Memory: size.Draw(t, "memory")}
		for range rapid.IntRange(0, 3).Draw(t, "disks") {
			r.Disks = append(r.Disks, core.DiskNeed{Count: rapid.IntRange(1, 9).Draw(t, "count"), Size: size.Draw(t, "size"), Kind: rapid.SampledFrom([]core.DiskKind{"", core.HDD, core.SSD, core.NVMe}).Draw(t, "kind")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "nics") {
			r.NICs = append(r.NICs, core.NICNeed{Count: rapid.IntRange(1, 9).Draw(t, "count"), Mbps: rapid.IntRange(0, 400_000).Draw(t, "mbps")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "labels") {
			s := core.Selector{Label: word.Draw(t, "label"), Op: rapid.SampledFrom([]core.SelectorOp{core.OpEqual, core.OpNotEqual, core.OpIn, core.OpNotIn, core.OpExists}).Draw(t, "op")}
			if s.Op != core.OpExists {
				s.Values = rapid.SliceOfN(word, 1, 3).Draw(t, "values")
			}
			r.Labels = append(r.Labels, s)
		}
		if r.GPUs = rapid.IntRange(0, 4).Draw(t, "gpus"); r.GPUs > 0 {
			r.GPUModel = rapid.SampledFrom([]string{"", "A100"}).Draw(t, "model")
		}
		if rapid.Bool().Draw(t, "place") {
			r.Place = core.Placement{Mode: rapid.SampledFrom([]core.PlaceMode{core.Spread, core.Together}).Draw(t, "mode"), Key: word.Draw(t, "key"), Group: rapid.SampledFrom([]string{"", "db"}).Draw(t, "group")}
		}
		block, diags := requirements(t.Context(), r)
		if diags.HasError() {
			t.Fatal(diags)
		}
		again, diags := request(t.Context(), block)
		if diags.HasError() || !reflect.DeepEqual(again, r) {
			t.Fatalf("%v\nwrote %+v\nread  %+v", diags, r, again)
		}
	})
}

func TestNoRequirements(t *testing.T) {
	block, diags := requirements(t.Context(), core.Request{Pool: "ci", Node: "n1", Arch: "amd64"})
	if diags.HasError() || !block.IsNull() {
		t.Errorf("%v, %v", block, diags)
	}
	r, diags := request(t.Context(), types.ObjectNull(requirementTypes))
	if diags.HasError() || !reflect.DeepEqual(r, core.Request{}) {
		t.Errorf("%+v, %v", r, diags)
	}
}
