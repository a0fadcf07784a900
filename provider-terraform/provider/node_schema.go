package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// declared is what a change of most attributes of a node does.
const declared = " **Changing it:** in place; the server is not touched."

// inventoryModel is a metalpool_node in configuration, plan and state.
type inventoryModel struct {
	ID     types.String `tfsdk:"id"`
	Name   types.String `tfsdk:"name"`
	Pool   types.String `tfsdk:"pool"`
	Labels types.Map    `tfsdk:"labels"`

	BMCURL               types.String `tfsdk:"bmc_url"`
	BMCUser              types.String `tfsdk:"bmc_user"`
	BMCPasswordWO        types.String `tfsdk:"bmc_password_wo"`
	BMCPasswordWOVersion types.Int64  `tfsdk:"bmc_password_wo_version"`
	BMCFingerprint       types.String `tfsdk:"bmc_fingerprint"`
	BMCCA                types.String `tfsdk:"bmc_ca"`
	BMCInsecure          types.Bool   `tfsdk:"bmc_insecure"`
	ConsoleKey           types.String `tfsdk:"console_key"`

	Address    types.String `tfsdk:"address"`
	SSHPort    types.Int64  `tfsdk:"ssh_port"`
	DockerPort types.Int64  `tfsdk:"docker_port"`
	Advertise  types.String `tfsdk:"advertise"`
	Boot       types.String `tfsdk:"boot"`
	Network    types.Object `tfsdk:"network"`

	Erase     types.Bool `tfsdk:"erase"`
	WaitClean types.Bool `tfsdk:"wait_clean"`
	TakeOver  types.Bool `tfsdk:"take_over"`

	State        types.String `tfsdk:"state"`
	Reason       types.String `tfsdk:"reason"`
	Serial       types.String `tfsdk:"serial"`
	Manufacturer types.String `tfsdk:"manufacturer"`
	Model        types.String `tfsdk:"model"`
	Arch         types.String `tfsdk:"arch"`
	CPUs         types.Int64  `tfsdk:"cpus"`
	Memory       types.Int64  `tfsdk:"memory_bytes"`

	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

// networkModel is a node's own configuration of its ports.
type networkModel struct {
	Ports   []string     `tfsdk:"ports"`
	Bond    types.String `tfsdk:"bond"`
	VLAN    types.Int64  `tfsdk:"vlan"`
	MTU     types.Int64  `tfsdk:"mtu"`
	Address types.String `tfsdk:"address"`
	Gateway types.String `tfsdk:"gateway"`
	DNS     []string     `tfsdk:"dns"`
}

func networkTypes() map[string]attr.Type {
	list := types.ListType{ElemType: types.StringType}
	return map[string]attr.Type{"ports": list, "bond": types.StringType, "vlan": types.Int64Type, "mtu": types.Int64Type, "address": types.StringType, "gateway": types.StringType, "dns": list}
}

// Addresses may be written in more ways than one.
var (
	prefixed = addressLike("an address with its prefix", "10.0.0.7/24", netip.ParsePrefix)
	alone    = addressLike("an IP address", "10.0.0.1", netip.ParseAddr)
)

// bmcAddress refuses already when planning what the state would keep in plain text.
var bmcAddress = quantity[string]{"a BMC's address, such as https://10.0.0.7", func(text string) (string, error) {
	if core.CheckBMCURL(text) != nil {
		return "", &core.Error{Op: "read address", Kind: core.Invalid, Err: errBMCAddress, Hint: "write https://host[:port], and user and password as bmc_user and bmc_password_wo"}
	}
	return text, nil
}}

var errBMCAddress = errors.New("it is not the address of a BMC alone") // nor shown: a password may be in it

func addressLike[T comparable](what, example string, parse func(string) (T, error)) quantity[T] {
	return quantity[T]{what + ", such as " + example, func(text string) (T, error) {
		v, err := parse(text)
		if err != nil {
			err = &core.Error{Op: "read address", Kind: core.Invalid, Err: fmt.Errorf("%q is not %s", text, what), Hint: "write it such as " + example}
		}
		return v, err
	}}
}

func (r *nodeResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_node"
}

func (r *nodeResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	text := func(doc string, validators ...validator.String) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, Validators: append(notEmpty[:1:1], validators...), MarkdownDescription: doc + declared}
	}
	told := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: doc}
	}
	port := func(doc string) schema.Int64Attribute {
		return schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.Between(1, 65535)}, MarkdownDescription: doc + declared}
	}
	name := chosen("Name: letters, digits and dashes, at most 63; by default made from the server's serial number. **Changing it:** replacement: the server is retired, and enrolled anew.")
	name.PlanModifiers = append([]planmodifier.String{stringplanmodifier.RequiresReplaceIfConfigured()}, keepText...)
	console := chosen("Fingerprint of the SSH host key of the BMC's serial console, `SHA256:…`; by default the one that it shows first." + declared)
	boot := chosen("How its ramdisk hands over to an OS: `kexec`, or `reboot` through its firmware. Where it is left out: as the image says, or as metalpool has seen the server need it." + declared)
	boot.Validators = []validator.String{stringvalidator.OneOf(string(core.Kexec), string(core.Reboot))}
	others := func(names ...string) []path.Expression {
		var all []path.Expression
		for _, name := range names {
			all = append(all, path.MatchRoot(name))
		}
		return all
	}
	fingerprint := chosen("SHA-256 of the BMC's certificate, in lower-case hex; by default that of the certificate which it shows when it is enrolled, unless `bmc_ca` or `bmc_insecure` says otherwise." + declared)
	fingerprint.Validators = []validator.String{
		stringvalidator.RegexMatches(regexp.MustCompile(`^[0-9a-f]{64}$`), "must be 64 hexadecimal digits, in lower case"),
		stringvalidator.ConflictsWith(others("bmc_ca", "bmc_insecure")...),
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A server in the pool's inventory, enrolled by its operator. Create asks its BMC what it is made of, and touches nothing but the asset tag. Its disks are erased when `erase` says so, and never else: until then it is `Quarantined`, and `reason` names them. Destroy retires it, once it has no owner and no work is under way on it; it does not erase anything.",
		Attributes: map[string]schema.Attribute{
			"id":   computed("The name, as it is known once the server is enrolled: for `node` of a `metalpool_machine` in the same configuration."),
			"name": name,
			"pool": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString(core.DefaultPool), Validators: notEmpty,
				MarkdownDescription: "The pool that it belongs to: `id` of a `metalpool_pool`; by default `" + core.DefaultPool + "`. **Changing it:** in place, and refused while the server has an owner.",
			},
			"labels": schema.MapAttribute{
				Optional: true, ElementType: textType,
				MarkdownDescription: "Labels that machines can ask for, such as `{ rack = \"r1\" }`." + declared,
			},
			"bmc_url": schema.StringAttribute{
				Required: true, Validators: []validator.String{bmcAddress},
				MarkdownDescription: "The BMC's address, `https://host[:port]`. **Changing it:** in place: the same server at another address, which is refused while work is under way on it.",
			},
			"bmc_user": schema.StringAttribute{
				Optional: true, Computed: true, Default: stringdefault.StaticString("root"), Validators: notEmpty,
				MarkdownDescription: "The BMC's user; by default `root`." + declared,
			},
			"bmc_password_wo": schema.StringAttribute{
				Required: true, WriteOnly: true, Sensitive: true,
				MarkdownDescription: "The BMC's password. It is neither in the plan nor in the state; the pool keeps it sealed. Terraform cannot tell when it changes: change `bmc_password_wo_version` with it. `env:NAME`, `file:/path` and `exec:program arguments` say where the pool finds it each time, and then only that is kept; where the pool is behind a server, its host alone may say so. A password that happens to begin like one of these is written with `literal:` before it.",
			},
			"bmc_password_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `bmc_password_wo`, counted by you. **Changing it:** in place; the pool uses the new password from then on. The BMC's own is not changed.",
			},
			"bmc_fingerprint": fingerprint,
			"bmc_ca":          text("CA certificates, PEM, by which the BMC's certificate is checked.", stringvalidator.ConflictsWith(others("bmc_fingerprint", "bmc_insecure")...)),
			"bmc_insecure": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Does not check the BMC's certificate: whoever is on the way can take its password." + declared,
			},
			"console_key": console,
			"address":     text("Where its machine is reached; by default at the address of the port that boots."),
			"ssh_port":    port("Port of the machine's SSH; by default 22."),
			"docker_port": port("Port of the machine's Docker Engine; by default 2376."),
			"advertise":   text("The address at which this server and its BMC reach the host that deploys, where the route does not tell."),
			"boot":        boot,
			"network": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "What ramdisk and OS configure; by default DHCP on every port. **Changing it:** in place; it counts for the next ramdisk and for the OS that is deployed next.",
				Attributes: map[string]schema.Attribute{
					"ports": schema.ListAttribute{
						Required: true, ElementType: textType, Validators: []validator.List{listvalidator.SizeAtLeast(1)},
						MarkdownDescription: "Hardware addresses of its ports, in lower case with colons. Several are bonded.",
					},
					"bond":    schema.StringAttribute{Optional: true, Validators: []validator.String{stringvalidator.OneOf(core.BondModes...)}, MarkdownDescription: "The bond's mode, by the kernel's name; by default `active-backup`."},
					"vlan":    schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.Between(1, 4094)}, MarkdownDescription: "VLAN; by default untagged."},
					"mtu":     schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)}, MarkdownDescription: "Largest packet, in bytes; by default the kernel's."},
					"address": schema.StringAttribute{Optional: true, Validators: []validator.String{prefixed}, PlanModifiers: []planmodifier.String{prefixed}, MarkdownDescription: "Address with its prefix, such as `10.0.0.7/24`; by default DHCP tells."},
					"gateway": schema.StringAttribute{Optional: true, Validators: []validator.String{alone}, PlanModifiers: []planmodifier.String{alone}, MarkdownDescription: "Default gateway."},
					"dns":     schema.ListAttribute{Optional: true, ElementType: textType, Validators: []validator.List{listvalidator.ValueStringsAre(alone)}, MarkdownDescription: "Name servers."},
				},
			},
			"erase": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Puts the server to use: erases all its disks, now. **Changing it:** from `false` to `true` erases them where the server is `Quarantined`; else in place, and nothing is touched.",
			},
			"wait_clean": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Waits until the server is erased, and `Available`. Machines of the same configuration wait for it by themselves." + setting,
			},
			"take_over": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Enrolls the server though its asset tag says that it is another pool's." + setting,
			},
			"state":        told("Where it is in its life: `Available` can be taken."),
			"reason":       told("Why it is there, for people."),
			"serial":       told("Serial number."),
			"manufacturer": told("Who made it."),
			"model":        told("Which one it is."),
			"arch":         told("`amd64` or `arm64`."),
			"cpus":         schema.Int64Attribute{Computed: true, MarkdownDescription: "Logical CPUs."},
			"memory_bytes": schema.Int64Attribute{Computed: true, MarkdownDescription: "Memory in bytes."},
		},
		Blocks: map[string]schema.Block{"timeouts": timesBlock(ctx, timeouts.Opts{Create: true, Update: true, Delete: true})},
	}
}
