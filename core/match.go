package core

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Mismatch says why a node does not fit a request; "" means that it fits. It looks
// at what the node is, never at its state.
func Mismatch(n Node, r Request) string {
	h := n.Hardware
	switch {
	case r.Node != "" && n.ID != r.Node:
		return "is not " + string(r.Node)
	case r.Arch != "" && h.Arch != r.Arch:
		return fmt.Sprintf("has architecture %s, not %s", orUnknown(h.Arch), r.Arch)
	case h.CPUs < r.CPUs:
		return fmt.Sprintf("has %d of the %d CPUs asked for", h.CPUs, r.CPUs)
	case h.Memory < r.Memory:
		have, need := TooLittle(Bytes.String, h.Memory, r.Memory)
		return fmt.Sprintf("has %s of the %s memory asked for", have, need)
	}
	for _, s := range r.Labels {
		if why := mismatchLabel(n.Spec.Labels, s); why != "" {
			return why
		}
	}
	if why := mismatchDisks(h.Disks, r.Disks); why != "" {
		return why
	}
	if why := mismatchNICs(h.NICs, r.NICs); why != "" {
		return why
	}
	return mismatchGPUs(h.GPUs, r)
}

// mismatchNICs gives the fastest ports to the fastest needs: one port serves one.
func mismatchNICs(nics []NIC, needs []NICNeed) string {
	free := slices.Clone(nics)
	slices.SortStableFunc(free, func(a, b NIC) int { return b.Mbps - a.Mbps })
	order := slices.Clone(needs)
	slices.SortStableFunc(order, func(a, b NICNeed) int { return b.Mbps - a.Mbps })
	for _, need := range order {
		have := 0
		for have < need.Count && len(free) > 0 && free[0].Mbps >= need.Mbps {
			free = free[1:]
			have++
		}
		if have < need.Count {
			return fmt.Sprintf("has %d of the %d NICs of %d Mbit/s asked for", have, need.Count, need.Mbps)
		}
	}
	return ""
}

func mismatchLabel(labels map[string]string, s Selector) string {
	value, there := labels[s.Label]
	fits := false
	switch s.Op {
	case OpExists:
		fits = there
	case OpEqual, OpIn:
		fits = there && slices.Contains(s.Values, value)
	case OpNotEqual, OpNotIn:
		fits = !there || !slices.Contains(s.Values, value)
	}
	if fits {
		return ""
	}
	if !there {
		return fmt.Sprintf("has no label %s (asked for %s)", s.Label, s)
	}
	return fmt.Sprintf("has %s=%s (asked for %s)", s.Label, value, s)
}

// String writes the selector as it is parsed.
func (s Selector) String() string {
	switch s.Op {
	case OpExists:
		return s.Label + " exists"
	case OpIn, OpNotIn:
		return fmt.Sprintf("%s %s (%s)", s.Label, s.Op, strings.Join(s.Values, ","))
	}
	return s.Label + string(s.Op) + strings.Join(s.Values, ",")
}

// mismatchDisks gives the most demanding needs the smallest disks that satisfy
// them, so that one disk serves one need and no choice blocks a later one.
func mismatchDisks(disks []Disk, needs []DiskNeed) string {
	free := slices.DeleteFunc(slices.Clone(disks), func(d Disk) bool { return d.Removable })
	sort.SliceStable(free, func(i, j int) bool { return free[i].Size < free[j].Size })
	order := slices.Clone(needs)
	// Kind before size: an "nvme" need has the fewest candidates, "any" the most.
	sort.SliceStable(order, func(i, j int) bool {
		if a, b := kindRank(order[i].Kind), kindRank(order[j].Kind); a != b {
			return a > b
		}
		return order[i].Size > order[j].Size
	})
	for _, need := range order {
		have := 0
		free = slices.DeleteFunc(free, func(d Disk) bool {
			if have < need.Count && d.Size >= need.Size && d.Kind.satisfies(need.Kind) {
				have++
				return true
			}
			return false
		})
		if have < need.Count {
			kind := "disks"
			if need.Kind != "" {
				kind = string(need.Kind) + " disks"
			}
			return fmt.Sprintf("has %d of the %d %s of %s asked for", have, need.Count, kind, DiskSize(need.Size))
		}
	}
	return ""
}

func (k DiskKind) satisfies(need DiskKind) bool {
	return need == "" || k == need || (need == SSD && k == NVMe)
}

func kindRank(k DiskKind) int {
	switch k {
	case NVMe, HDD:
		return 2
	case SSD:
		return 1
	}
	return 0
}

func mismatchGPUs(gpus []GPU, r Request) string {
	need := r.GPUs
	if need == 0 && r.GPUModel != "" {
		need = 1
	}
	have := 0
	for _, g := range gpus {
		if strings.Contains(strings.ToLower(g.Model), strings.ToLower(r.GPUModel)) {
			have++
		}
	}
	if have >= need {
		return ""
	}
	return strings.Join(strings.Fields(fmt.Sprintf("has %d of the %d %s GPUs asked for", have, need, r.GPUModel)), " ")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
