package provider

import (
	"context"
	"fmt"
	"time"

	deeds "github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	action "github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

var allTimes = timeouts.Opts{Create: true, Read: true, Update: true, Delete: true}

// timesBlock is the timeouts block of a resource, which takes only times that are some.
func timesBlock(ctx context.Context, of timeouts.Opts) schema.Block {
	block, ok := timeouts.Block(ctx, of).(schema.SingleNestedBlock)
	if !ok {
		panic("timeouts are no single block")
	}
	for name, a := range block.Attributes {
		if text, ok := a.(schema.StringAttribute); ok {
			text.Validators = append(text.Validators, someTime{})
			block.Attributes[name] = text
		}
	}
	return block
}

// actionTimesBlock is that of an action.
func actionTimesBlock(ctx context.Context) action.Block {
	block, ok := deeds.Block(ctx).(action.SingleNestedBlock)
	if !ok {
		panic("timeouts are no single block")
	}
	for name, a := range block.Attributes {
		if text, ok := a.(action.StringAttribute); ok {
			text.Validators = append(text.Validators, someTime{})
			block.Attributes[name] = text
		}
	}
	return block
}

// someTime refuses a limit that nothing can keep. What is no length of time at all has
// been refused.
type someTime struct{}

func (someTime) Description(context.Context) string {
	return "must be longer than nothing, such as 30m"
}
func (s someTime) MarkdownDescription(ctx context.Context) string {
	return s.Description(ctx)
}

// ValidateString implements validator.String.
func (someTime) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if limit, err := time.ParseDuration(req.ConfigValue.ValueString()); err == nil && limit <= 0 {
		resp.Diagnostics.AddAttributeError(req.Path, "No time is left for it",
			fmt.Sprintf("Nothing can be done within %s.\n\nWhat to do: write a length of time such as 30m, or leave it out.", req.ConfigValue.ValueString()))
	}
}
