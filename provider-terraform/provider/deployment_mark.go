package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	markLabel = core.AdapterLabels + "deployment"
	// markBegun precedes the ID of a deployment whose create has not come to its end, and
	// what that asked for: begun/ID/ORDER.
	markBegun = "begun/"
	// markDestroyed takes the place of a deployment that was destroyed. The disks are as
	// it left them.
	markDestroyed = "destroyed"
)

// mark writes down whose deployment is on an allocation, unless another process has done
// so since the allocation was read.
func (r *deploymentResource) mark(ctx context.Context, there core.Machine, as string) (core.Machine, error) {
	return r.pool.Change(ctx, there.ID, core.MachineChange{
		Labels:   map[string]*string{markLabel: &as},
		Labelled: map[string]string{markLabel: there.Labels[markLabel]},
	})
}

// begin marks an allocation as a deployment's, which is to be made of an order. Of two that
// begin at the same time one is told of the other.
func (r *deploymentResource) begin(ctx context.Context, id core.AllocationID, o core.Order) (there core.Machine, deployment string, err error) {
	for range 3 { // an allocation goes to somebody else once, and then it is not free
		if there, err = r.free(ctx, id, o); err != nil {
			return there, "", err
		}
		if deployment = core.NewID("dep"); unfinished(there) {
			deployment = marked(there)
		}
		if there, err = r.mark(ctx, there, markBegun+deployment+"/"+fingerprint(o)); !core.Is(err, core.Busy) {
			break
		}
	}
	return there, deployment, err
}

// fingerprint tells two orders apart. Whoever sees an allocation sees it, so that the order
// must have no secret: of such user data it has the version alone.
func fingerprint(o core.Order) string {
	fields := []any{o.Image, o.Hostname, o.SSHUser, o.SSHPort, o.Keys, o.UserData, o.Revision}
	if o.Profile != "" { // what releases without profiles began is found again
		fields = append(fields, o.Profile)
	}
	text, _ := json.Marshal(fields) // texts and numbers
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// whose is how an allocation stands to a deployment that is to be made.
type whose int

const (
	nobodys whose = iota // free to be deployed on
	begun                // by a create of the same order that was killed: its ID is the mark
	another              // begun by a create of another order, killed or at work
	foreign              // deployed by somebody else, or by a create whose answer was lost
)

func holder(there core.Machine, o core.Order) whose {
	switch mark := there.Labels[markLabel]; {
	case unfinished(there) && strings.HasSuffix(mark, "/"+fingerprint(o)):
		return begun
	case unfinished(there):
		return another
	case there.State == core.Allocated, mark == markDestroyed:
		return nobodys
	}
	return foreign
}

// unfinished reports whether the create of the deployment has not come to its end,
// whatever the server is in the middle of.
func unfinished(there core.Machine) bool {
	return strings.HasPrefix(there.Labels[markLabel], markBegun)
}

// marked is the ID of the deployment that an allocation is marked with.
func marked(there core.Machine) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(there.Labels[markLabel], markBegun), "/")
	return id
}

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
