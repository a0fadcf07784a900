package bmc

var openBMC = Manners{
	Name: "openbmc", Vendor: "OpenBMC", Product: "OpenBMC", Model: "Reference Server", Firmware: "2.18.0",
	SystemID: "system", ManagerID: "bmc", ChassisID: "chassis", Registry: "Base.1.18",
	ResetTypes:  []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "GracefulRestart", "PowerCycle", "Nmi"},
	BootTargets: []string{"None", "Pxe", "Hdd", "Cd", "Usb", "Diags", "BiosSetup"},
	Slots:       []Slot{{ID: "Slot_0", Types: []string{"CD", "DVD"}}, {ID: "Slot_1", Types: []string{"USBStick"}}},
}

var vendors = []*Manners{&openBMC}
