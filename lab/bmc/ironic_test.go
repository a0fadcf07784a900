//go:build ironic

package bmc

import (
	"testing"

	"github.com/metalpool/metalpool/internal/ironictest"
)

// TestIronicDrivesTheBMCs has OpenStack's Ironic, a Redfish client that none of us
// wrote, turn power, set the boot device, and boot from virtual media.
func TestIronicDrivesTheBMCs(t *testing.T) {
	ironic := ironictest.Start(t)
	// Not Lenovo, nor Supermicro: this Ironic takes the first slot of the list, where XCC
	// shows RDOC1, and leaves out BootSourceOverrideEnabled, which an X12 asks for.
	for _, name := range []string{"openbmc", "idrac9", "ilo6", "gigabyte"} {
		t.Run(name, func(t *testing.T) { drive(t, ironic, name) })
	}
}

func drive(t *testing.T, ironic *ironictest.API, manners string) {
	m, err := Named(manners)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, m)
	iso := r.images.URL + "/boot.iso"
	node := ironic.Call(t, "POST", "/v1/nodes", 201, map[string]any{
		"name": manners, "driver": "redfish", "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media",
		"management_interface": "redfish", "power_interface": "redfish", "bios_interface": "no-bios", "raid_interface": "no-raid",
		"vendor_interface": "no-vendor", "inspect_interface": "no-inspect",
		"driver_info": map[string]any{
			"redfish_address": r.server.URL(), "redfish_system_id": r.sys(), "redfish_username": testUser,
			"redfish_password": testPassword, "redfish_verify_ca": false, "redfish_auth_type": "basic",
			"deploy_kernel": iso, "deploy_ramdisk": iso, "bootloader": iso,
		},
		"instance_info":   map[string]any{"boot_iso": iso, "capabilities": `{"boot_option": "ramdisk"}`},
		"properties":      map[string]any{"capabilities": "boot_mode:uefi"},
		"automated_clean": false,
	})
	path := "/v1/nodes/" + node["uuid"].(string)

	power := func(target, state string) {
		ironic.Call(t, "PUT", path+"/states/power", 202, map[string]any{"target": target})
		ironic.Await(t, path, "power_state", state)
	}
	ironic.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "manage"})
	ironic.Await(t, path, "provision_state", "manageable")
	power("power on", "power on")
	if got := r.machine.Power(); got != On {
		t.Fatalf("Ironic says on, the machine is %s", got)
	}
	power("power off", "power off")
	if got := r.machine.Power(); got != Off {
		t.Fatalf("Ironic says off, the machine is %s", got)
	}

	ironic.Call(t, "PUT", path+"/management/boot_device", 204, map[string]any{"boot_device": "pxe", "persistent": false})
	device := ironic.Call(t, "GET", path+"/management/boot_device", 200, nil)
	if device["boot_device"] != "pxe" || device["persistent"] != false {
		t.Fatalf("the boot device reads back as %v", device)
	}
	power("power on", "power on")
	if b := r.machine.lastBoot(t); b.Source != FromPXE {
		t.Fatalf("after boot device pxe the machine booted %v", b.Source)
	}
	power("power off", "power off")

	ironic.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "provide"})
	ironic.Await(t, path, "provision_state", "available")
	ironic.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "active"})
	ironic.Await(t, path, "provision_state", "active")
	b := r.machine.lastBoot(t)
	if b.Source != FromMedia || b.Media == nil {
		t.Fatalf("a deploy from virtual media booted %v", b.Source)
	}
	ironic.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "deleted"})
	ironic.Await(t, path, "provision_state", "available")
	if inserted := r.bmc.Inserted(); len(inserted) > 0 {
		t.Errorf("after the teardown the media are still inserted: %v", inserted)
	}
	if got := r.machine.Power(); got != Off {
		t.Errorf("after the teardown the machine is %s", got)
	}
	ironic.Call(t, "DELETE", path, 204, nil)
}
