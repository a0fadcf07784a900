package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/metalpool/metalpool/core"
)

// quantity is a text that stands for something else, in more ways than one: "64GiB"
// and "64 GiB" are one size. It refuses at plan time what cannot be read, and plans no
// change from one way of writing to another.
type quantity[T comparable] struct {
	what string
	read func(string) (T, error)
}

var (
	size  = quantity[core.Bytes]{"a size with its unit, such as 64GiB", core.ParseBytes}
	speed = quantity[int]{"a speed with its unit, such as 25G", readSpeed}
	arch  = quantity[string]{"an architecture", core.ParseArch}
)

func (q quantity[T]) Description(context.Context) string         { return "must be " + q.what }
func (q quantity[T]) MarkdownDescription(context.Context) string { return "must be " + q.what }

// ValidateString implements validator.String.
func (q quantity[T]) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if _, err := q.read(req.ConfigValue.ValueString()); err != nil {
		fault(&resp.Diagnostics, err, req.Path)
	}
}

// PlanModifyString implements planmodifier.String.
func (q quantity[T]) PlanModifyString(_ context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	if req.StateValue.IsNull() || req.PlanValue.IsNull() || req.PlanValue.IsUnknown() {
		return
	}
	there, err := q.read(req.StateValue.ValueString())
	planned, planErr := q.read(req.PlanValue.ValueString())
	if err == nil && planErr == nil && there == planned {
		resp.PlanValue = req.StateValue
	}
}

// readSpeed reads one port's speed, in Mbit/s.
func readSpeed(text string) (int, error) {
	needs, err := core.ParseNICs(text)
	if err != nil {
		return 0, err
	}
	if len(needs) != 1 || needs[0].Count != 1 {
		return 0, &core.Error{Op: "read speed", Kind: core.Invalid, Err: fmt.Errorf("%q is not one port's speed", text), Hint: "write a speed such as 25G, and how many ports as count"}
	}
	return needs[0].Mbps, nil
}

// duration is a length of time, such as 30m.
type duration struct{}

func (duration) Description(context.Context) string {
	return "must be a length of time with its unit, such as 30m"
}
func (d duration) MarkdownDescription(ctx context.Context) string { return d.Description(ctx) }

// PlanModifyString implements planmodifier.String.
func (duration) PlanModifyString(ctx context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	read := func(text string) (time.Duration, error) { return core.ParseDuration(req.Path.String(), text) }
	quantity[time.Duration]{read: read}.PlanModifyString(ctx, req, resp)
}

// ValidateString implements validator.String.
func (duration) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if _, err := core.ParseDuration(req.Path.String(), req.ConfigValue.ValueString()); err != nil {
		fault(&resp.Diagnostics, err, req.Path)
	}
}
