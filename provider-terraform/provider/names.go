package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// named is a text that the pool's own rule allows. The plan of an update asks the pool for
// nothing, so that only this refuses what its apply could not do.
type named struct {
	what  string
	check func(string) error
}

var (
	machineName = named{"a machine's name", func(name string) error { return core.CheckName("name", name, name) }}
	imageName   = named{"an image's name", core.CheckImageName}
)

func (n named) Description(context.Context) string         { return "must be " + n.what }
func (n named) MarkdownDescription(context.Context) string { return "must be " + n.what }

// ValidateString implements validator.String.
func (n named) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := n.check(req.ConfigValue.ValueString()); err != nil {
		fault(&resp.Diagnostics, err, req.Path)
	}
}

// labelled is a map whose keys and values a machine's labels can be.
type labelled struct{}

func (labelled) Description(context.Context) string         { return "must be labels" }
func (labelled) MarkdownDescription(context.Context) string { return "must be labels" }

// ValidateMap implements validator.Map.
func (labelled) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	labels := map[string]string{}
	for key, value := range req.ConfigValue.Elements() {
		text, _ := value.(types.String)
		labels[key] = text.ValueString() // "" for what is not known yet, which is a value, too
	}
	if err := core.CheckLabels("label", "", labels); err != nil {
		fault(&resp.Diagnostics, err, req.Path)
	}
}
