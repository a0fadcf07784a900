package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// lines is a list of single lines. It plans no change from a line to the same one with
// its end, as file() reads it.
type lines struct{}

func (lines) Description(context.Context) string {
	return "white space around a line is no part of it"
}
func (l lines) MarkdownDescription(ctx context.Context) string { return l.Description(ctx) }

// PlanModifyList implements planmodifier.List.
func (lines) PlanModifyList(_ context.Context, req planmodifier.ListRequest, resp *planmodifier.ListResponse) {
	if sameLines(req.StateValue, req.PlanValue) {
		resp.PlanValue = req.StateValue
	}
}

// sameLines compares two lists, both of which must be known.
func sameLines(a, b types.List) bool {
	read := func(l types.List) (found []string, ok bool) {
		if l.IsNull() || l.IsUnknown() {
			return nil, false
		}
		for _, v := range l.Elements() {
			text, is := v.(types.String)
			if !is || text.IsUnknown() {
				return nil, false
			}
			found = append(found, strings.TrimSpace(text.ValueString()))
		}
		return found, true
	}
	x, ok := read(a)
	y, also := read(b)
	return ok && also && slices.Equal(x, y)
}
