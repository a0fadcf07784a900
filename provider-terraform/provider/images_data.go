package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// imagesData is metalpool_images.
type imagesData struct{ source }

func newImagesData() datasource.DataSource { return &imagesData{} }

type imagesModel struct {
	Images []imageModel `tfsdk:"images"`
}

// imageModel leaves the source out, which may be a signed address, and so a key.
type imageModel struct {
	Name    string       `tfsdk:"name"`
	SHA256  string       `tfsdk:"sha256"`
	Format  string       `tfsdk:"format"`
	Arch    types.String `tfsdk:"arch"`
	User    types.String `tfsdk:"user"`
	Size    types.Int64  `tfsdk:"size_bytes"`
	MinDisk types.Int64  `tfsdk:"min_disk_bytes"`
	AddedAt string       `tfsdk:"added_at"`
}

func (d *imagesData) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_images"
}

func (d *imagesData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: doc}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The OS images in the pool's catalogue.",
		Attributes: map[string]schema.Attribute{"images": schema.ListNestedAttribute{
			Computed: true, MarkdownDescription: "The images, by name.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"name":           text("Its name, for `image` of a machine."),
				"sha256":         text("SHA-256 of the image's file, lower-case hex."),
				"format":         text("`raw` or `qcow2`, with the compression: `raw.zst`."),
				"arch":           text("`amd64` or `arm64`."),
				"user":           text("Who logs in."),
				"size_bytes":     schema.Int64Attribute{Computed: true, MarkdownDescription: "What it takes on a disk, in bytes."},
				"min_disk_bytes": schema.Int64Attribute{Computed: true, MarkdownDescription: "The smallest disk that holds it, in bytes."},
				"added_at":       text("When it was added, RFC 3339."),
			}},
		}},
	}
}

func (d *imagesData) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	images, err := d.pool.Images(ctx)
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
		return
	}
	m := imagesModel{Images: []imageModel{}}
	for _, i := range images {
		m.Images = append(m.Images, imageModel{
			Name: i.Name, SHA256: i.SHA256, Format: i.Format, Arch: textOf(i.Arch), User: textOf(i.User),
			Size: numberOf(int(i.Size)), MinDisk: numberOf(int(i.MinDisk)), AddedAt: i.AddedAt.UTC().Format(time.RFC3339),
		})
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
