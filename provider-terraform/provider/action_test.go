package provider

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/action"

	"github.com/metalpool/metalpool/core"
)

// TestAgain: what is refused says what to do about it in a configuration.
func TestAgain(t *testing.T) {
	for state, want := range map[core.State]string{core.Deployed: "", core.Failed: "", core.Deploying: "the next apply of its resource", core.Allocated: "metalpool_deployment"} {
		_, err := again(core.Machine{Name: "web-1", State: state})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", state, err, want)
		}
	}
}

// TestForward: all is passed on to who listens, and who does not listen holds nobody up.
func TestForward(t *testing.T) {
	var heard []string
	tell, end := forward(t.Context(), func(e action.InvokeProgressEvent) { heard = append(heard, e.Message) })
	for i := range unsaid {
		tell(strconv.Itoa(i))
	}
	end()
	if len(heard) != unsaid || heard[unsaid-1] != strconv.Itoa(unsaid-1) {
		t.Errorf("%d lines were heard: %s", len(heard), strings.Join(heard, " "))
	}

	ctx, cancel := context.WithCancel(t.Context())
	tell, end = forward(ctx, func(action.InvokeProgressEvent) { <-t.Context().Done() })
	for i := range 2 * unsaid {
		tell(strconv.Itoa(i))
	}
	cancel()
	end()
}
