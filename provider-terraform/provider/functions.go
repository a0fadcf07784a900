package provider

import (
	"context"
	"errors"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

// reading is a function of the provider that reads one text, and needs no pool.
type reading[T any] struct {
	name       string
	definition function.Definition
	read       func(text string) (T, error)
}

func (f *reading[T]) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = f.name
}

func (f *reading[T]) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = f.definition
}

func (f *reading[T]) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var text string
	if resp.Error = req.Arguments.Get(ctx, &text); resp.Error != nil {
		return
	}
	value, err := f.read(text)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, said(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, value)
}

// said is an error in one text: a function has no room for a summary of its own. Terraform
// ends it with a full stop.
func said(err error) string {
	summary, detail := explain(err, nil)
	return strings.TrimSuffix(summary+"\n\n"+detail, ".")
}

func oneText(name, doc string) []function.Parameter {
	return []function.Parameter{function.StringParameter{Name: name, MarkdownDescription: doc}}
}

func newParseSize() function.Function {
	return &reading[int64]{
		name: "parse_size",
		definition: function.Definition{
			Summary:             "Read a size.",
			MarkdownDescription: "Gives the bytes of a size as people write it, such as `64GiB` or `1.6TB`. A number without a unit is refused.",
			Parameters:          oneText("size", "A size with its unit."), Return: function.Int64Return{},
		},
		read: func(text string) (int64, error) {
			b, err := core.ParseBytes(text)
			return int64(b), err
		},
	}
}

// condition is one label block of requirements.
type condition struct {
	Key    string     `tfsdk:"key"`
	Op     string     `tfsdk:"op"`
	Values types.List `tfsdk:"values"`
}

func newParseConstraints() function.Function {
	return &reading[[]condition]{
		name: "parse_constraints",
		definition: function.Definition{
			Summary:             "Read conditions on labels.",
			MarkdownDescription: "Reads conditions as the command line takes them, such as `rack=r1,tier!=test,gpu exists,zone in (a,b)`, into what a `dynamic \"label\"` block of `requirements` repeats over: a list of objects with `key`, `op` and `values`. An empty text is no condition.",
			Parameters:          oneText("constraints", "Conditions on a server's labels, all of which must hold."),
			Return:              function.ListReturn{ElementType: types.ObjectType{AttrTypes: map[string]attr.Type{"key": types.StringType, "op": types.StringType, "values": types.ListType{ElemType: types.StringType}}}},
		},
		read: func(text string) ([]condition, error) {
			selectors, err := core.ParseSelectors(text)
			list := []condition{}
			for _, s := range selectors {
				c := condition{Key: s.Label, Op: string(s.Op), Values: types.ListNull(textType)}
				if len(s.Values) > 0 {
					c.Values = texts(s.Values)
				}
				list = append(list, c)
			}
			return list, err
		},
	}
}

func newSSHFingerprint() function.Function {
	return &reading[string]{
		name: "ssh_fingerprint",
		definition: function.Definition{
			Summary:             "Tell a public key's fingerprint.",
			MarkdownDescription: "Gives the fingerprint of a public SSH key, `SHA256:…`, as `ssh-keygen -l` and SSH's first question show it: of one of `ssh_host_keys`, or of a line of `authorized_keys`.",
			Parameters:          oneText("key", "A public key in the format of `authorized_keys`."), Return: function.StringReturn{},
		},
		read: func(text string) (string, error) {
			key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(text))
			if err == nil && len(strings.TrimSpace(string(rest))) == 0 {
				return ssh.FingerprintSHA256(key), nil
			}
			// What was given is not repeated: it may be the private half.
			return "", &core.Error{Op: "read SSH key", Kind: core.Invalid, Err: errors.New("the text is not one public key"), Hint: "give one line such as \"ssh-ed25519 AAAA… ann\", as .pub files have it"}
		},
	}
}
