package provider

import (
	"context"
	"iter"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/path"
)

// entry is one line of a list.
type entry struct {
	name     string // for people
	identity any
	model    any // a pointer to it, as an import has it
}

// results answers a list with things, or with what went wrong on the way to them. one
// makes an entry of a thing; its timeouts are those that nobody has set.
func results[T any](ctx context.Context, req list.ListRequest, things []T, diags diag.Diagnostics, one func(T, timeouts.Value) (entry, diag.Diagnostics)) iter.Seq[list.ListResult] {
	if diags.HasError() {
		return list.ListResultsStreamDiagnostics(diags)
	}
	if req.Limit > 0 && int64(len(things)) > req.Limit {
		things = things[:req.Limit]
	}
	return func(push func(list.ListResult) bool) {
		for _, thing := range things {
			result := req.NewListResult(ctx)
			var times timeouts.Value
			result.Diagnostics.Append(result.Resource.GetAttribute(ctx, path.Root("timeouts"), &times)...)
			e, diags := one(thing, times)
			result.DisplayName = e.name
			result.Diagnostics.Append(diags...)
			result.Diagnostics.Append(result.Identity.Set(ctx, e.identity)...)
			if req.IncludeResource {
				result.Diagnostics.Append(result.Resource.Set(ctx, e.model)...)
			}
			if !push(result) {
				return
			}
		}
	}
}

// hasLabels reports whether labels has all of those that are asked for.
func hasLabels(labels, asked map[string]string) bool {
	for key, value := range asked {
		if there, has := labels[key]; !has || there != value {
			return false
		}
	}
	return true
}
