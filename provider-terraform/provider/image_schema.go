package provider

import (
	"cmp"
	"context"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// What a change of an image's attribute does.
const (
	noted    = " **Changing it:** in place; it counts from the next deploy on, and no machine is touched."
	newImage = " **Changing it:** replacement, which is refused while a pool or a deploy uses the image. Give each version a name of its own, and have the next one there before: `lifecycle { create_before_destroy = true }`."
)

// catalogueModel is a metalpool_image in configuration, plan and state.
type catalogueModel struct {
	ID              types.String `tfsdk:"id"`
	Name            types.String `tfsdk:"name"`
	Source          types.String `tfsdk:"source"`
	SourceWO        types.String `tfsdk:"source_wo"`
	SourceWOVersion types.Int64  `tfsdk:"source_wo_version"`
	SHA256          types.String `tfsdk:"sha256"`
	User            types.String `tfsdk:"user"`
	Arch            types.String `tfsdk:"arch"`
	Boot            types.String `tfsdk:"boot"`

	Format  types.String `tfsdk:"format"`
	Size    types.Int64  `tfsdk:"size_bytes"`
	MinDisk types.Int64  `tfsdk:"min_disk_bytes"`
	AddedAt types.String `tfsdk:"added_at"`

	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

// defaultArch is that of an image whose architecture nobody tells.
const defaultArch = "amd64"

func (r *imageResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_image"
}

func (r *imageResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "An OS disk image in the pool's catalogue. Create reads the file through, checks it and records its SHA-256, which every deploy checks against. The file stays where it is: machines are deployed from it. Destroy forgets the image, and leaves the file.",
		Attributes: map[string]schema.Attribute{
			"id": computed("The name, as it is known once it is there: for `image` of a `metalpool_machine` and `default_image` of a `metalpool_pool` in the same configuration."),
			"name": schema.StringAttribute{
				Required: true, Validators: []validator.String{imageName}, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
				MarkdownDescription: "Name: letters, digits, dots, dashes and underscores, at most 64. It is what machines and pools ask for, and what import takes." + newImage,
			},
			"source": schema.StringAttribute{
				Optional: true, PlanModifiers: []planmodifier.String{location},
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1), location, stringvalidator.ExactlyOneOf(path.MatchRoot("source"), path.MatchRoot("source_wo"))},
				MarkdownDescription: "The file: a path on the host that deploys, or an `https` address, such as that of a distribution's cloud image. Raw or qcow2, each possibly compressed with gzip, xz or zstd. It is stored in the state, in plain text: one that is signed belongs into `source_wo`. **Changing it:** in place where `sha256` says that the content is the same; else replacement.",
			},
			"source_wo": schema.StringAttribute{
				Optional: true, WriteOnly: true, Sensitive: true, Validators: []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("sha256"))},
				MarkdownDescription: "The same where the address itself is a secret, as a signed one is. It is neither in the plan nor in the state. Change `source_wo_version` with it.",
			},
			"source_wo_version": schema.Int64Attribute{
				Optional: true, Validators: []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("source_wo"))},
				MarkdownDescription: "Version of `source_wo`, counted by you. **Changing it:** in place; the file is read again from there, and must be the same.",
			},
			"sha256": schema.StringAttribute{
				Optional: true, Computed: true, PlanModifiers: keepText,
				Validators:          []validator.String{stringvalidator.RegexMatches(regexp.MustCompile(`^[0-9a-f]{64}$`), "must be 64 hexadecimal digits, in lower case")},
				MarkdownDescription: "SHA-256 of the file; by default that of the file that is found. Give it, such as by `filesha256(…)`, to have a file that was changed noticed by the plan." + newImage,
			},
			"user": schema.StringAttribute{
				Required: true, Validators: notEmpty,
				MarkdownDescription: "Who logs in to machines that name no other, such as `debian` or `ubuntu`." + noted,
			},
			"arch": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(defaultArch), Validators: []validator.String{arch}, PlanModifiers: []planmodifier.String{arch},
				MarkdownDescription: "Architecture: `amd64`, the default, or `arm64`." + noted,
			},
			"boot": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(string(core.Kexec)), Validators: []validator.String{stringvalidator.OneOf(string(core.Kexec), string(core.Reboot))},
				MarkdownDescription: "How the ramdisk hands over to the OS: `kexec`, the default, or `reboot` through the firmware, as secure and measured boot want." + noted,
			},
			"format":         computed("`raw` or `qcow2`, with the compression: `raw.zst`."),
			"size_bytes":     schema.Int64Attribute{Computed: true, PlanModifiers: keepNumber, MarkdownDescription: "What it takes on a disk, in bytes."},
			"min_disk_bytes": schema.Int64Attribute{Computed: true, PlanModifiers: keepNumber, MarkdownDescription: "The smallest disk that holds it, in bytes."},
			"added_at":       schema.StringAttribute{Computed: true, MarkdownDescription: "When it was last put into the catalogue, RFC 3339."},
		},
		Blocks: map[string]schema.Block{"timeouts": timesBlock(ctx, timeouts.Opts{Create: true, Update: true})},
	}
}

// image is i as the model asks to have it in the catalogue; what that does not know of
// stays. config has what only the configuration knows.
func (m catalogueModel) image(config catalogueModel, i core.Image) core.Image {
	i.Name, i.User, i.Boot = m.Name.ValueString(), m.User.ValueString(), core.BootMode(m.Boot.ValueString())
	i.Arch, _ = core.ParseArch(m.Arch.ValueString()) // the schema has refused what cannot be read
	i.Source, i.Named = asNoted(m.Source.ValueString()+config.SourceWO.ValueString()), ""
	i.SHA256 = m.SHA256.ValueString() // none while it is unknown
	return i
}

// fill writes down what the catalogue says. An address that may be a secret never gets
// into the state by it.
func (m *catalogueModel) fill(i core.Image) {
	m.ID, m.Name = types.StringValue(i.Name), types.StringValue(i.Name)
	m.SHA256, m.User, m.Format = types.StringValue(i.SHA256), types.StringValue(i.User), textOf(i.Format)
	m.Arch = sameText(m.Arch, i.Arch, arch.read)
	m.Boot = types.StringValue(string(core.Kexec))
	if i.Boot != "" {
		m.Boot = types.StringValue(string(i.Boot))
	}
	if !m.Source.IsNull() {
		m.Source = sameText(m.Source, calledSource(i), location.read)
	}
	m.SourceWO = types.StringNull()
	m.Size, m.MinDisk = types.Int64Value(int64(i.Size)), types.Int64Value(int64(i.MinDisk))
	m.AddedAt = types.StringValue(i.AddedAt.UTC().Format(time.RFC3339))
}

// calledSource is where an image is by the name that it was added by: a server keeps what
// it has found there, which is another path where that is a link.
func calledSource(i core.Image) string { return cmp.Or(i.Named, i.Source) }

// location is where an image is. One place may be written in more ways than one.
var location = quantity[string]{"a path, or an address without a password", func(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		return "", &core.Error{Op: "read source", Kind: core.Invalid, Err: errPassword, Hint: "fetch the file yourself, and name it by its path"}
	case err != nil && isAddress(text):
		return "", &core.Error{Op: "read source", Kind: core.Invalid, Err: errAddress, Hint: "write what is special in it as %20 and the like, or name a file by its path"}
	}
	return asNoted(text), nil
}}

func isAddress(source string) bool { return strings.Contains(source, "://") }

// asNoted is a source as the catalogue has it: an address written in one way, a path that
// does not depend on where Terraform runs.
func asNoted(source string) string {
	if source == "" {
		return ""
	}
	if isAddress(source) {
		if u, err := url.Parse(source); err == nil {
			return u.String()
		}
		return source // the catalogue refuses it
	}
	if abs, err := filepath.Abs(source); err == nil {
		return abs
	}
	return source
}

// mayBeSecret reports whether an address may let in whoever has it.
func mayBeSecret(source string) bool {
	u, err := url.Parse(source)
	return isAddress(source) && (err != nil || u.User != nil || u.RawQuery != "")
}
