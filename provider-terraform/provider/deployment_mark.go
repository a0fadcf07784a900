package provider

import (
	"context"
	"maps"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/metalpool/metalpool/core"
)

// A pool knows what is deployed on an allocation, and nothing of whose deployment that
// is. So a deployment marks its allocation with a label before it deploys: a killed
// create is found again by it, one that was destroyed is told from one that is there,
// and what was deployed by other means is not deployed over.
const (
	markLabel = "metalpool/deployment"
	// markBegun precedes the ID of a deployment whose create has not come to its end.
	markBegun = "begun/"
	// markDestroyed takes the place of a deployment that was destroyed. The disks are as
	// it left them.
	markDestroyed = "destroyed"
)

// mark writes down whose deployment is on an allocation.
func (r *deploymentResource) mark(ctx context.Context, id core.AllocationID, as string) error {
	_, err := r.pool.Change(ctx, id, core.MachineChange{Labels: map[string]*string{markLabel: &as}})
	return err
}

// whose is how an allocation stands to a deployment.
type whose int

const (
	nobodys whose = iota // free to be deployed on
	begun                // by a create that was killed: its ID is the mark
	foreign              // deployed by somebody else, or by a create whose answer was lost
)

func holder(there core.Machine) whose {
	mark := there.Labels[markLabel]
	switch {
	case there.State == core.Allocated, mark == markDestroyed:
		return nobodys
	case unfinished(there), mark != "" && there.State != core.Deployed:
		return begun
	}
	return foreign
}

// unfinished reports whether the create of the deployment has not come to its end,
// whatever the server is in the middle of.
func unfinished(there core.Machine) bool {
	return strings.HasPrefix(there.Labels[markLabel], markBegun)
}

// marked is the ID of the deployment that an allocation is marked with.
func marked(there core.Machine) string { return strings.TrimPrefix(there.Labels[markLabel], markBegun) }

// holds reports whether the deployment is the one that is on its allocation. One that
// was imported and has never been marked goes by the allocation's ID.
func (m deploymentModel) holds(there core.Machine) bool {
	mark := marked(there)
	return mark == m.ID.ValueString() || mark == "" && m.ID.Equal(m.AllocationID)
}

// ownLabels are the labels that are the user's.
func ownLabels(labels map[string]string) map[string]string {
	if _, there := labels[markLabel]; !there {
		return labels
	}
	own := maps.Clone(labels)
	delete(own, markLabel)
	return own
}

// notReserved refuses the label that deployments use.
type notReserved struct{}

func (notReserved) Description(context.Context) string { return "must not have the label " + markLabel }
func (notReserved) MarkdownDescription(context.Context) string {
	return "must not have the label `" + markLabel + "`"
}

// ValidateMap implements validator.Map.
func (notReserved) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	if _, there := req.ConfigValue.Elements()[markLabel]; there {
		resp.Diagnostics.AddAttributeError(req.Path.AtMapKey(markLabel), "The label "+markLabel+" is metalpool_deployment's", "What to do: choose another one.")
	}
}

// allocationPath is where a deployment names its allocation.
var allocationPath = path.Root("allocation_id")
