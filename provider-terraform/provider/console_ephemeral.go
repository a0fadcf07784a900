package provider

import (
	"context"
	"errors"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// consoleEphemeral is metalpool_console: what a server says is true for a moment, and
// may be what user data made it print. So it is in no state.
type consoleEphemeral struct{ pool *pool }

func newConsoleEphemeral() ephemeral.EphemeralResource { return &consoleEphemeral{} }

var _ ephemeral.EphemeralResourceWithConfigure = &consoleEphemeral{}

// consoles is a pool that reaches the consoles of its servers.
type consoles interface {
	ConsoleTail(ctx context.Context, id core.NodeID, lines int) ([]string, error)
}

const (
	consoleLines = 50
	// mostConsoleLines keeps what is read to what the machine itself has printed: a BMC
	// may have kept more, of who had the server before.
	mostConsoleLines = 200
)

type consoleModel struct {
	MachineID types.String `tfsdk:"machine_id"`
	Owner     types.String `tfsdk:"owner"`
	Lines     types.Int64  `tfsdk:"lines"`
	Node      types.String `tfsdk:"node"`
	Text      types.String `tfsdk:"text"`
}

func (e *consoleEphemeral) Configure(_ context.Context, req ephemeral.ConfigureRequest, _ *ephemeral.ConfigureResponse) {
	e.pool, _ = req.ProviderData.(*pool)
}

func (e *consoleEphemeral) Metadata(_ context.Context, req ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_console"
}

func (e *consoleEphemeral) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "What a machine's server has printed on its serial console: firmware, kernel, cloud-init. " +
			"It is read anew by each plan and each apply, through the server's BMC, whatever state the machine is in, and is never stored. " +
			"Use it in a `postcondition`, or in a provisioner that keeps it with the logs of your pipeline.\n\n" +
			"At a BMC that keeps nothing, it is what the server prints in the few seconds of the look. " +
			"What a BMC has kept may be older than the machine: who asks a `metalpool serve` with a user's token is shown what was printed since the last deploy began, and nothing, with a warning, where the BMC keeps too little to tell.",
		Attributes: map[string]schema.Attribute{
			"machine_id": schema.StringAttribute{Required: true, Validators: notEmpty, MarkdownDescription: machineIDDoc},
			"owner":      schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: ownerDoc},
			"lines": schema.Int64Attribute{
				Optional: true, Validators: []validator.Int64{int64validator.Between(1, mostConsoleLines)},
				MarkdownDescription: "How many lines, at most: the last ones. From 1 to 200, by default 50.",
			},
			"node": schema.StringAttribute{Computed: true, MarkdownDescription: "The server."},
			"text": schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The lines, without control characters; each ends with a newline. Empty where nothing was printed."},
		},
	}
}

// Open reads the console. There is nothing to close: the look is over when it returns.
func (e *consoleEphemeral) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m consoleModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	there, err := e.pool.held(ctx, "read the console of", m.MachineID, m.Owner)
	if err != nil {
		fault(&resp.Diagnostics, err, machineIDPath)
		return
	}
	reader, may := e.pool.Service.(consoles)
	if !may {
		fault(&resp.Diagnostics, &core.Error{
			Op: "read the console of", Allocation: there.Name, Node: there.Node, Kind: core.Denied, Err: errors.New("this pool shows consoles to its operator alone"),
			Hint: "name the pool's own store as url, on the host that has it",
		}, path.Empty())
		return
	}
	count := int64(consoleLines)
	if !m.Lines.IsNull() {
		count = m.Lines.ValueInt64()
	}
	lines, err := reader.ConsoleTail(ctx, there.Node, int(count))
	if core.Is(err, core.Denied) { // what cannot be shown stops no plan
		resp.Diagnostics.AddWarning("The console is not shown", err.Error())
		err = nil
	}
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
		return
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	m.Node, m.Text = types.StringValue(string(there.Node)), types.StringValue(text.String())
	resp.Diagnostics.Append(resp.Result.Set(ctx, &m)...)
}
