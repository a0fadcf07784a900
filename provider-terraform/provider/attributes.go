package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
)

// The sorts of attributes that resources have in common. What is told or chosen by the
// pool stays known in a plan that does not say otherwise.

var (
	keepText   = []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	keepNumber = []planmodifier.Int64{int64planmodifier.UseStateForUnknown()}
)

// computed is a text that only the pool knows.
func computed(doc string) schema.StringAttribute {
	return schema.StringAttribute{Computed: true, PlanModifiers: keepText, MarkdownDescription: doc}
}

// chosen is a text that the pool decides on where the configuration does not.
func chosen(doc string) schema.StringAttribute {
	return schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: keepText, Validators: notEmpty, MarkdownDescription: doc}
}
