package core

// Request is what a caller asks of a node. The zero Request is any node of the
// default pool.
type Request struct {
	Pool     string     `json:"pool,omitempty"`
	Node     NodeID     `json:"node,omitempty"` // exactly this node
	Labels   []Selector `json:"labels,omitempty"`
	Arch     string     `json:"arch,omitempty"`
	CPUs     int        `json:"cpus,omitempty"`   // at least
	Memory   Bytes      `json:"memory,omitempty"` // at least
	Disks    []DiskNeed `json:"disks,omitempty"`
	NICs     []NICNeed  `json:"nics,omitempty"`
	GPUs     int        `json:"gpus,omitempty"` // at least
	GPUModel string     `json:"gpu_model,omitempty"`
	Place    Placement  `json:"place,omitzero"`
}

// Selector is one condition on a label.
type Selector struct {
	Label  string     `json:"label"`
	Op     SelectorOp `json:"op"`
	Values []string   `json:"values,omitempty"`
}

// SelectorOp is how a Selector compares. "exists" takes no value, "=" and "!="
// one, "in" and "notin" some. A missing label satisfies != and notin.
type SelectorOp string

const (
	OpEqual    SelectorOp = "="
	OpNotEqual SelectorOp = "!="
	OpIn       SelectorOp = "in"
	OpNotIn    SelectorOp = "notin"
	OpExists   SelectorOp = "exists"
)

// DiskNeed asks for at least Count disks of at least Size and, if Kind is set, of
// that kind (an NVMe disk is an SSD too). One disk serves one need only.
type DiskNeed struct {
	Count int      `json:"count"`
	Size  Bytes    `json:"size,omitempty"`
	Kind  DiskKind `json:"kind,omitempty"`
}

// NICNeed asks for at least Count ports of at least Mbps. One port serves one need only.
type NICNeed struct {
	Count int `json:"count"`
	Mbps  int `json:"mbps,omitempty"`
}

// Placement says how the machines of one Group stand to each other, by the node
// label Key ("rack", "zone"). Spread prefers the place with the fewest of the
// group; Together takes only the place where the group already is.
type Placement struct {
	Key   string    `json:"key,omitempty"`
	Mode  PlaceMode `json:"mode,omitempty"`
	Group string    `json:"group,omitempty"` // default: all machines of the owner in the pool
}

// PlaceMode is Spread or Together.
type PlaceMode string

const (
	Spread   PlaceMode = "spread"
	Together PlaceMode = "together"
)
