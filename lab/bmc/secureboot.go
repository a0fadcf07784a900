package bmc

// SecureBoot is how a BMC lets UEFI Secure Boot be turned on and off.
type SecureBoot struct {
	// SetupMode: it has no keys, and cannot be on.
	SetupMode bool
}

func (b *BMC) secureBoot(r *request) (resource, bool) {
	c := b.manners.SecureBoot
	path := b.systemPath() + "/SecureBoot"
	return resource{
		get: func(*request) doc {
			u := b.State().Setup
			now, mode := "Enabled", "UserMode"
			if u.InsecureNow || c.SetupMode {
				now = "Disabled"
			}
			if c.SetupMode {
				mode = "SetupMode"
			}
			return doc{
				"@odata.id": path, "@odata.type": "#SecureBoot.v1_1_0.SecureBoot", "Id": "SecureBoot", "Name": "UEFI Secure Boot",
				"SecureBootEnable": !u.Insecure && !c.SetupMode, "SecureBootCurrentBoot": now, "SecureBootMode": mode,
			}
		},
		patch: b.patchSecureBoot, writes: is(SetSecureBoot),
	}, c != nil && r.ids[0] == b.manners.SystemID
}

func (b *BMC) patchSecureBoot(r *request) answer {
	if m := check(r.object, []param{{name: "SecureBootEnable", kind: boolean, needed: true}}, "", propertyUnknown, propertyMissing); m != nil {
		return b.fail(*m)
	}
	on, _ := r.object["SecureBootEnable"].(bool)
	if on && b.manners.SecureBoot.SetupMode {
		return b.refuse(NoKeys)
	}
	dropped := r.fault != nil && r.fault.Kind == Drop
	b.update(func(s *State) {
		s.Setup.Insecure = !on
		if dropped {
			s.Setup.Dropped = append(s.Setup.Dropped, droppedSecure)
		}
	})
	return b.resetRequired()
}
