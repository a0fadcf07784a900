package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
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
	var merged *yaml.Node
	for i, part := range parts {
		next, err := readCloudConfig(part)
		if err == nil {
			merged, err = mergeNodes(merged, next, "")
		}
		if err != nil {
			resp.Error = function.NewArgumentFuncError(int64(i), said(&core.Error{
				Op: "merge cloud-init", Kind: core.Invalid, Err: fmt.Errorf("config %d: %w", i+1, err),
				Hint: "give cloud-configs: YAML below a first line #cloud-config",
			}))
			return
		}
	}
	if merged == nil {
		resp.Error = resp.Result.Set(ctx, "")
		return
	}
	text, err := yaml.Marshal(merged)
	if err != nil {
		resp.Error = function.NewFuncError(said(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, cloudConfig+"\n"+string(text))
}

const cloudConfig = "#cloud-config"

// readCloudConfig reads one to nodes and not to values: "yes" and 0644 are to reach
// cloud-init as they were written. nil is nothing at all. Its errors show no content,
// which may be secret.
func readCloudConfig(text string) (*yaml.Node, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil //nolint:nilnil // nothing is to be merged
	}
	head, body, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(head) != cloudConfig {
		return nil, errors.New("its first line is not " + cloudConfig)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(body), &doc); err != nil {
		return nil, fmt.Errorf("below the first line: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, nil //nolint:nilnil // the same
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, errors.New("it is no map of cloud-init's modules")
	}
	return top, plain(top)
}

// plain refuses what means something only within its own document.
func plain(n *yaml.Node) error {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: anchors and aliases cannot be merged", n.Line+1)
	}
	for _, c := range n.Content {
		if err := plain(c); err != nil {
			return err
		}
	}
	return nil
}

// mergeNodes merges b into a. at is where in the document they are.
func mergeNodes(a, b *yaml.Node, at string) (*yaml.Node, error) {
	switch {
	case b == nil:
		return a, nil
	case a == nil:
		return b, nil
	case a.Kind != b.Kind:
		return nil, fmt.Errorf("%s is of another kind there than in the configs before", strings.TrimPrefix(at, "."))
	case b.Kind == yaml.SequenceNode:
		a.Content = append(a.Content, b.Content...)
		return a, nil
	case b.Kind != yaml.MappingNode:
		return b, nil
	}
	for i := 0; i+1 < len(b.Content); i += 2 {
		key, value := b.Content[i], b.Content[i+1]
		there := valueOf(a, key.Value)
		if there < 0 {
			a.Content = append(a.Content, key, value)
			continue
		}
		merged, err := mergeNodes(a.Content[there], value, at+"."+key.Value)
		if err != nil {
			return nil, err
		}
		a.Content[there] = merged
	}
	return a, nil
}

// valueOf is the index of a key's value in a map's content; -1 where there is none.
func valueOf(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}
