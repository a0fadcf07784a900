package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Where the configuration does not say, a machine that somebody turned off is on after its
// next deploy.
func TestADeployKeepsNoPower(t *testing.T) {
	for _, wanted := range []types.String{types.StringNull(), types.StringValue(powerOff)} {
		plan := machineModel{systemModel: systemModel{PowerState: types.StringValue(powerOff)}}
		expectDeploy(&plan, machineModel{systemModel: systemModel{PowerState: wanted}}, plan)
		if plan.PowerState.IsUnknown() != wanted.IsNull() {
			t.Errorf("with %s in the configuration it is to be %s", wanted, plan.PowerState)
		}
	}
}

// Where nobody says who logs in, another image's user does.
func TestADeployTakesTheImagesUser(t *testing.T) {
	state := machineModel{systemModel: systemModel{State: types.StringValue("Deployed"), Image: types.StringValue("debian"), SSHUser: types.StringValue("debian")}}
	for _, test := range []struct {
		image, configured types.String
		state             string
		open              bool
	}{
		{types.StringValue("debian"), types.StringNull(), "Deployed", false},
		{types.StringValue("ubuntu"), types.StringNull(), "Deployed", true},
		{types.StringValue("ubuntu"), types.StringValue("ann"), "Deployed", false},
		{types.StringValue("debian"), types.StringNull(), "Failed", true},
	} {
		state.State = types.StringValue(test.state)
		plan := state
		plan.Image = test.image
		expectDeploy(&plan, machineModel{systemModel: systemModel{SSHUser: test.configured}}, state)
		if plan.SSHUser.IsUnknown() != test.open {
			t.Errorf("%+v: it is to be %s", test, plan.SSHUser)
		}
	}
}

func TestDecide(t *testing.T) {
	there := func(change func(*machineModel)) machineModel {
		m := machineModel{
			serverModel: serverModel{Pool: types.StringValue("default"), Node: types.StringValue("n1"), Arch: types.StringValue("amd64")},
			systemModel: systemModel{
				State: types.StringValue("Deployed"), Image: types.StringValue("debian"), Hostname: types.StringValue("web-1"),
				SSHUser: types.StringValue("debian"), SSHPort: types.Int64Value(22), SSHKeys: texts([]string{"ssh-ed25519 AAAA ann"}),
			},
		}
		if change != nil {
			change(&m)
		}
		return m
	}
	image := func(m *machineModel) { m.Image = types.StringValue("ubuntu") }
	keys := func(m *machineModel) { m.SSHKeys = texts([]string{"ssh-ed25519 BBBB ann"}) }
	data := func(m *machineModel) { m.UserData = types.StringValue("#!/bin/sh") }
	version := func(m *machineModel) { m.UserDataWOVersion = types.Int64Value(2) }
	managed := func(m *machineModel) { m.Managed = types.BoolValue(true) }
	failed := func(m *machineModel) { m.State = types.StringValue("Failed") }
	for _, test := range []struct {
		name             string
		there, asked     machineModel
		allowed          []string
		misfit, imported bool
		replace          []string
		redeploy         []string
		deploys, inPlace bool
	}{
		{name: "nothing", there: there(nil), asked: there(nil)},
		{name: "name", there: there(nil), asked: there(func(m *machineModel) { m.Name = types.StringValue("web-2") })},
		{name: "image", there: there(nil), asked: there(image), replace: []string{"image"}},
		{name: "image, listed", there: there(nil), asked: there(image), allowed: []string{"image"}, redeploy: []string{"image"}, deploys: true},
		{name: "image, another listed", there: there(nil), asked: there(image), allowed: []string{"ssh_keys"}, replace: []string{"image"}},
		{
			name: "image and keys, one listed", there: there(nil), asked: there(func(m *machineModel) { image(m); keys(m) }), allowed: []string{"image"},
			replace: []string{"ssh_keys"}, redeploy: []string{"image"},
		},
		{name: "an image that is not known yet", there: there(nil), asked: there(func(m *machineModel) { m.Image = types.StringUnknown() }), replace: []string{"image"}},
		{name: "pool", there: there(nil), asked: there(func(m *machineModel) { m.Pool = types.StringValue("ci") }), allowed: redeployable, replace: []string{"pool"}},
		{name: "node", there: there(nil), asked: there(func(m *machineModel) { m.Node = types.StringValue("n2") }), allowed: redeployable, replace: []string{"node"}},
		{name: "architecture", there: there(nil), asked: there(func(m *machineModel) { m.Arch = types.StringValue("arm64") }), allowed: redeployable, replace: []string{"arch"}},
		{name: "what the node lacks", there: there(nil), asked: there(nil), misfit: true, replace: []string{"requirements"}},
		{name: "user data", there: there(nil), asked: there(data), replace: []string{"user_data"}},
		{name: "user data of an import", there: there(nil), asked: there(data), imported: true},
		{name: "version of an import", there: there(nil), asked: there(version), imported: true},
		{name: "user data after an import", there: there(func(m *machineModel) { m.UserData = types.StringValue("#!/bin/bash") }), asked: there(data), imported: true, replace: []string{"user_data"}},
		{name: "keys of an import", there: there(nil), asked: there(keys), imported: true, replace: []string{"ssh_keys"}},
		{name: "keys in place", there: there(managed), asked: there(keys), inPlace: true},
		{name: "keys in place, listed", there: there(managed), asked: there(keys), allowed: []string{"ssh_keys"}, inPlace: true},
		{name: "keys along with a redeploy", there: there(managed), asked: there(func(m *machineModel) { image(m); keys(m) }), allowed: []string{"image"}, redeploy: []string{"image"}, deploys: true},
		{name: "keys along with a replacement", there: there(managed), asked: there(func(m *machineModel) { image(m); keys(m) }), replace: []string{"image"}},
		{name: "keys that are not known yet", there: there(managed), asked: there(func(m *machineModel) { m.SSHKeys = types.ListUnknown(textType) }), inPlace: true},
		{name: "half-way", there: there(failed), asked: there(failed), deploys: true},
		{name: "half-way, replaced", there: there(failed), asked: there(image), replace: []string{"image"}},
	} {
		e := decide(test.there, test.asked, test.allowed, test.misfit, test.imported)
		if !slices.Equal(e.replace, test.replace) || !slices.Equal(e.redeploy, test.redeploy) || e.deploys() != test.deploys || e.keys != test.inPlace {
			t.Errorf("%s: %+v, deploys %v", test.name, e, e.deploys())
		}
	}
}

// What is to be listed is told with what is listed already: people copy it as it stands.
func TestAllowRedeployIsToldWhole(t *testing.T) {
	e := effect{replace: []string{"hostname"}, unlisted: []string{"hostname"}, listed: []string{"image"}}
	var resp resource.ModifyPlanResponse
	e.tell(machineModel{}, "", &resp)
	if len(resp.Diagnostics) != 1 || !strings.Contains(resp.Diagnostics[0].Detail(), `allow_redeploy = ["image", "hostname"]`) {
		t.Errorf("it says %v", resp.Diagnostics)
	}
}
