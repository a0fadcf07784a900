package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// TestImageLocations: the catalogue writes an address in one way. What was asked for in
// another is the same image, and stays as it was written.
func TestImageLocations(t *testing.T) {
	for written, noted := range map[string]string{
		"https://host/a b.img":      "https://host/a%20b.img",
		"HTTPS://host/a.img?q=1":    "https://host/a.img?q=1",
		"/srv/images/../images/d.x": "/srv/images/d.x",
	} {
		m := catalogueModel{Source: types.StringValue(written)}
		if asked := m.image(catalogueModel{}, core.Image{}); !asListed(core.Image{Source: noted}, core.Image{Source: asked.Source, Boot: core.Kexec}) {
			t.Errorf("%s is asked for as %s, and noted as %s", written, asked.Source, noted)
		}
		if m.fill(core.Image{Source: noted}); m.Source.ValueString() != written {
			t.Errorf("%s is told to be %s", written, m.Source)
		}
	}
	behind := catalogueModel{Source: types.StringValue("/srv/current.img")}
	there := core.Image{Source: "/srv/v2.img", Named: "/srv/current.img", Boot: core.Kexec}
	if !asListed(there, core.Image{Source: "/srv/current.img", Boot: core.Kexec}) {
		t.Error("what a killed create has left behind a link is not known again")
	}
	if behind.fill(there); behind.Source.ValueString() != "/srv/current.img" {
		t.Errorf("a link is told to be %s", behind.Source)
	}
	for _, secret := range []string{"https://ann:hunter2@host/a.img", "https://ann:hunter2%zz@host/a.img"} {
		if _, err := location.read(secret); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", secret, err)
		}
	}
}
