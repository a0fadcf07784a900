package core_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// What a node's BIOS can be set to is asked of its BMC; where that cannot be, it says why
// and of which node.
func TestBIOSOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 3)
		p.rack.Server("n1").Settings(map[string]string{"Virtualization": "Enabled", "Delay": "7"})
		p.rack.Server("n2").Settings(factory, enginetest.OnlyWhenOn)
		p.rack.Server("n3").Fail(enginetest.Fault{Op: "read BIOS", Err: enginetest.ErrUnreachable, Times: -1})
		e, _ := p.engine()
		all, err := e.BIOS(t.Context(), "n1")
		if want := []core.BIOSAttribute{{Name: "Delay", Value: "7"}, {Name: "Virtualization", Value: "Enabled"}}; err != nil || !reflect.DeepEqual(all, want) {
			t.Errorf("it tells %+v, %v", all, err)
		}
		for id, want := range map[core.NodeID]struct {
			kind core.Kind
			says string
		}{
			"n2": {core.Backend, "(node n2): backend: this server's BMC has nothing of the kind; some BMCs tell them only while the server is on"},
			"n3": {core.Transient, "(node n3): transient: no route to host"},
			"n9": {core.NotFound, "list BIOS attributes (node n9): not found: no such node; there are: n1, n2, n3"},
		} {
			if _, err := e.BIOS(t.Context(), id); !core.Is(err, want.kind) || !strings.Contains(err.Error(), want.says) {
				t.Errorf("%s: got %v, want %s", id, err, want.says)
			}
		}
		p.profile(bios("delay", core.BIOSAttributes{"Delay": 8}))
		if _, err := e.SetUp(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := e.BIOS(t.Context(), "n1"); !core.Is(err, core.Busy) || !strings.Contains(err.Error(), "it is Preparing, and may be set up just now; ask again once that is done") {
			t.Errorf("at work: %v", err)
		}
		if _, err := e.AwaitRest(t.Context(), "n1", nil); err != nil {
			t.Fatal(err)
		}
		p.sound()
	})
}

// A program is told values as they are, and large numbers to the last digit; people see
// where a text begins and ends.
func TestBIOSAttributesAreToldAsTheyAre(t *testing.T) {
	const text = `{"name":"A","value":9007199254740993,"pending":false,"type":"Integer","lower":-1,"upper":18446744073709551615}`
	var a core.BIOSAttribute
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(a); err != nil || string(again) != text {
		t.Errorf("it comes back as %s, %v", again, err)
	}
	for _, c := range []struct {
		value any
		shown string
	}{{a.Value, "9007199254740993"}, {a.Pending, "false"}, {nil, ""}, {"r1 ", `"r1 "`}, {"", `""`}, {"Quiet\x1b[31mBoot", `"Quiet\x1b[31mBoot"`}} {
		if shown := core.Visible(c.value); shown != c.shown {
			t.Errorf("%v shows as %s", c.value, shown)
		}
	}
}
