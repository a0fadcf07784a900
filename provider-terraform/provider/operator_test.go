package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/metalpool/metalpool/core"
)

// TestOperatorsOnly configures the operator's resources for a pool that only serves.
func TestOperatorsOnly(t *testing.T) {
	served := &pool{Service: struct{ core.Service }{}}
	for _, made := range []func() resource.Resource{newPoolResource, newImageResource, newNodeResource} {
		r := made().(resource.ResourceWithConfigure) //nolint:forcetypeassert // they are
		var resp resource.ConfigureResponse
		r.Configure(t.Context(), resource.ConfigureRequest{}, &resp)
		if resp.Diagnostics.HasError() {
			t.Errorf("%T before the provider is configured: %v", r, resp.Diagnostics)
		}
		r.Configure(t.Context(), resource.ConfigureRequest{ProviderData: served}, &resp)
		if errs := resp.Diagnostics.Errors(); len(errs) != 1 || !strings.Contains(errs[0].Detail(), "operator's to change") {
			t.Errorf("%T of a pool that only serves: %v", r, resp.Diagnostics)
		}
	}
}
