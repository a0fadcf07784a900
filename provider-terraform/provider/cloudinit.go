package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/cloudconfig"
)

// mergeCloudInit is the function that makes one cloud-config of several.
type mergeCloudInit struct{}

func newMergeCloudInit() function.Function { return mergeCloudInit{} }

func (mergeCloudInit) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "merge_cloud_init"
}

func (mergeCloudInit) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary:             "Make one cloud-config of several.",
		MarkdownDescription: "Merges cloud-configs, each of which begins with `#cloud-config`, into one for `user_data`. Maps are merged key by key, lists are joined, and of two plain values the later one counts. Empty texts are left out, so that a part can be made conditional. Scripts and other formats are refused: put them into `write_files` and `runcmd`.",
		VariadicParameter: function.StringParameter{
			Name: "configs", MarkdownDescription: "cloud-configs; a later one goes before an earlier one.",
		},
		Return: function.StringReturn{},
	}
}

func (mergeCloudInit) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var parts []string
	if resp.Error = req.Arguments.Get(ctx, &parts); resp.Error != nil {
		return
	}
	var merged cloudconfig.Config
	for i, part := range parts {
		next, err := cloudconfig.Parse(part)
		if err == nil {
			merged, err = merged.Override(next)
		}
		if err != nil {
			resp.Error = function.NewArgumentFuncError(int64(i), said(&core.Error{
				Op: "merge cloud-init", Kind: core.Invalid, Err: fmt.Errorf("config %d: %w", i+1, err),
				Hint: "give cloud-configs: YAML below a first line #cloud-config",
			}))
			return
		}
	}
	text, err := merged.Text()
	if err != nil {
		resp.Error = function.NewFuncError(said(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, text)
}
