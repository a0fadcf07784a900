package bmc

import "slices"

// vendors are the manners that there are. What each row does was met in the
// field by others. Message IDs are theirs as far as they were seen; the texts
// are ours.
var vendors = []*Manners{
	&openBMC, &idrac9, &idrac10, &ilo5, &ilo6, &dl160, &supermicroX11, &supermicroX12,
	&xcc, &sr675, &ami, &asrockRack, &dgx, &gb200, &nokia, &cisco, &gigabyte,
}

var openBMC = Manners{
	Name: "openbmc", Vendor: "OpenBMC", Product: "OpenBMC", Model: "Reference Server", Firmware: "2.18.0",
	SystemID: "system", ManagerID: "bmc", ChassisID: "chassis", Registry: "Base.1.18",
	ResetTypes:  []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "GracefulRestart", "PowerCycle", "Nmi"},
	BootTargets: []string{"None", "Pxe", "Hdd", "Cd", "Usb", "Diags", "BiosSetup"},
	Slots:       []Slot{{ID: "Slot_0", Types: disc}, {ID: "Slot_1", Types: stick}},
	Console:     &openBMCConsole,
	BIOS:        &plainBIOS,
	SecureBoot:  &SecureBoot{},
	Inventory: []Software{
		{ID: "2a1022fe", Name: "Software Inventory", Version: "BMC"}, {ID: "bios_active", Name: "Software Inventory", Version: "BIOS"},
	},
}

var (
	disc  = []string{"CD", "DVD"}
	stick = []string{"USBStick"}

	fullResets = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "GracefulRestart", "PowerCycle", "PushPowerButton", "Nmi"}
	fewResets  = []string{"GracefulShutdown", "ForceRestart", "ForceOff", "On"}
	hpeResets  = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"}

	plainTargets = []string{"None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "Diags"}
	httpTargets  = append(slices.Clone(plainTargets), "UefiHttp")
)

// like copies manners and changes the copy.
func like(m Manners, change func(*Manners)) Manners {
	change(&m)
	return m
}

// dellSays is what iDRACs answer, with the version of their registry.
func dellSays(registry string) map[Cause]Message {
	return map[Cause]Message{
		SessionLimit:     {Status: 503, ID: registry + ".RAC0218", Text: "The maximum number of user sessions is reached.", Resolution: "Close an open session and retry."},
		MediaInserted:    {Status: 500, ID: registry + ".VRM0012", Text: "The virtual media device is connected already.", Resolution: "Disconnect the device and retry."},
		MediaSettling:    {Status: 500, ID: registry + ".VRM0021", Text: "Virtual media is detached, or the selected device is in use.", Resolution: "Check that the device is not in use and retry."},
		MediaEmpty:       {Status: 500, ID: registry + ".VRM0009", Text: "No virtual media devices are connected.", Resolution: "No response action is required."},
		MediaUnreachable: {Status: 500, ID: registry + ".RAC0904", Text: "The remote file location is not accessible or reachable.", Resolution: "Confirm the path and the credentials of the remote file."},
		PowerUnchanged:   {Status: 409, ID: registry + ".PSU501", Text: "The server has the requested power state already.", Resolution: "No response action is required."},
		PowerSettling:    {Status: 409, ID: registry + ".PSU506", Text: "The server is changing its power state.", Resolution: "Wait and retry."},
		DuringPOST:       {Status: 503, ID: registry + ".SYS518", Text: "The controller is busy with another task.", Resolution: "Wait for the task to complete and retry."},
		// github.com/dell/iDRAC-Redfish-Scripting issues 189 and 249, dellemc-openmanage-ansible-modules issue 495
		AttributeUnknown:  {Status: 400, ID: registry + ".SYS403", Text: "Unable to complete the operation because the resource {name} entered is not found.", Resolution: "Enter the correct resource and retry."},
		AttributeReadOnly: {Status: 400, ID: registry + ".SYS410", Text: "The attribute {name} cannot be modified because it is read-only.", Resolution: "Check the attribute registry."},
		AttributeValue:    {Status: 400, ID: registry + ".SYS409", Text: "Unable to set the object properties because an incorrect object value is entered.", Resolution: "Enter a valid object value and retry."},
		SettingsCommitted: {Status: 400, ID: registry + ".SYS011", Text: "Pending configuration values are already committed, unable to perform another set operation.", Resolution: "Wait for the scheduled job to complete or delete it."},
		TaskFailed:        {ID: registry + ".PR21", Text: "Job failed.", Resolution: "Look at the Lifecycle Log."},
		BootElsewhere:     {Status: 400, ID: registry + ".SYS410", Text: "The attribute cannot be modified because it is read-only.", Related: []string{"#/Boot"}, Resolution: "Use the settings resource."},
	}
}

var idrac9 = Manners{
	Name: "idrac9", Vendor: "Dell Inc.", Product: "Integrated Dell Remote Access Controller", Model: "PowerEdge R650", Firmware: "7.10.30.00",
	SystemID: "System.Embedded.1", ManagerID: "iDRAC.Embedded.1", ChassisID: "System.Embedded.1", Registry: "Base.1.12",
	ResetTypes: fullResets, BootTargets: httpTargets, ShowsBootProgress: true, MaxSessions: 8,
	Slots:             []Slot{{ID: "CD", Types: disc}, {ID: "RemovableDisk", Types: stick}},
	EjectLingers:      2,
	BootRefusedInPOST: true,
	Console:           &dellConsole,
	Says:              dellSays("IDRAC.2.8"),
	BIOS:              &dellBIOS,
	SecureBoot:        &SecureBoot{},
	RAID:              &RAID{ApplyTimes: []string{"Immediate", "OnReset"}, Tasks: true, NameTop: 15},
	Inventory:         dellInventory,
}

var idrac10 = like(idrac9, func(m *Manners) {
	m.Name, m.Model, m.Firmware, m.Registry = "idrac10", "PowerEdge R670", "1.20.50.50", "Base.1.18"
	m.Slots = []Slot{{ID: "1", Types: disc}, {ID: "2", Types: disc, Unbootable: true}}
	m.EjectLingers, m.BootRefusedInPOST = 0, false
	m.OnRefusedAfterOff, m.NoIfMatchOnActions = 1, true
	m.BootAt, m.BootJob = "Settings", true
	m.Says = dellSays("IDRAC.3.0")
	m.OrderWaits = true
	// A BOSS: what is asked of it waits for a start (docs.ansible.com, dellemc.openmanage.redfish_storage_volume).
	m.RAID = &RAID{ApplyTimes: []string{"OnReset"}, NameTop: 15}
})

// dellInventory has also what was installed before (github.com/dell/iDRAC-Redfish-Scripting
// issue 264).
var dellInventory = []Software{
	{ID: "Previous-159-1.0.4", Name: "BIOS", Version: "1.0.4", PartID: "159"},
	{ID: "Installed-159-1.2.3__BIOS.Setup.1-1", Name: "BIOS", Version: "BIOS", PartID: "159"},
	{ID: "Current-100170-18.5.17", Name: "Intel(R) Ethernet 10G 4P X520/I350 rNDC", Version: "18.5.17", PartID: "100170"},
	{ID: "Installed-100170-19.5.12", Name: "Intel(R) Ethernet 10G 4P X520/I350 rNDC", Version: "19.5.12", PartID: "100170"},
	{ID: "Installed-25227-7.10.30.00__iDRAC.Embedded.1-1", Name: "Integrated Dell Remote Access Controller", Version: "BMC", PartID: "25227"},
}

var hpeInventory = []Software{
	{Name: "iLO", Version: "BMC"}, {Name: "System ROM", Version: "U46 v1.62 (08/11/2022)"},
	{Name: "Redundant System ROM", Version: "U46 v1.20 (02/02/2022)"}, {Name: "Intelligent Provisioning", Version: "4.10.81"},
}

func hpeSays(registry string) map[Cause]Message {
	wrongState := Message{Status: 400, ID: registry + ".InvalidOperationForSystemState"}
	return map[Cause]Message{
		MediaInserted:  {Status: 400, ID: registry + ".MaxVirtualMediaConnectionEstablished"},
		MediaEmpty:     {Status: 400, ID: registry + ".NoVirtualMediaConnectionAvailable"},
		PowerUnchanged: wrongState, PowerSettling: wrongState, PowerIsOff: wrongState,
		// github.com/HewlettPackard/python-ilorest-library issues 84 and 135
		AttributeUnknown:  {Status: 400, ID: registry + ".PropertyNotWritableOrUnknown"},
		AttributeReadOnly: {Status: 400, ID: registry + ".PropertyNotWritableOrUnknown"},
		ResetRequired:     {ID: registry + ".SystemResetRequired"},
		DuringPOST:        {Status: 400, ID: registry + ".UnableToModifyDuringSystemPOST", Args: []string{"BootSourceOverrideTarget"}},
	}
}

var ilo5 = Manners{
	Name: "ilo5", Vendor: "HPE", Product: "ProLiant DL380 Gen10", Model: "ProLiant DL380 Gen10", Firmware: "iLO 5 v3.06",
	SystemID: "1", ManagerID: "1", ChassisID: "1", Registry: "Base.1.4",
	TerseErrors: true, ErrorCode: "iLO.0.10.ExtendedInfo", SuccessInBody: true,
	ResetTypes: hpeResets, BootTargets: httpTargets, BootRefusedInPOST: true,
	Slots:      []Slot{{ID: "1", Types: []string{"Floppy", "USBStick"}}, {ID: "2", Types: disc}},
	SlotsUnder: UnderManagers, EjectNeedsBody: true,
	Console:    &hpeConsole,
	Says:       hpeSays("iLO.2.30"),
	BIOS:       &hpeBIOS,
	SecureBoot: &SecureBoot{},
	RAID:       &RAID{ReadOnly: true}, // of a Smart Array
	Inventory:  hpeInventory,
}

var ilo6 = like(ilo5, func(m *Manners) {
	m.Name, m.Product, m.Model, m.Firmware = "ilo6", "ProLiant DL380 Gen11", "ProLiant DL380 Gen11", "iLO 6 v1.62"
	m.Registry, m.HTTPBootURI = "Base.1.18", true
	m.Says = hpeSays("iLO.2.37")
	// Made without a start (github.com/ansible-collections/community.general pull request 6813).
	m.RAID = &RAID{ApplyTimes: []string{"Immediate"}}
})

var dl160 = like(ilo5, func(m *Manners) {
	m.Name, m.Product, m.Model = "dl160", "ProLiant DL160 Gen10", "ProLiant DL160 Gen10"
	m.ResetTypes, m.BootMinimal = fewResets, true
})

var supermicroX11 = Manners{
	Name: "supermicro-x11", Vendor: "Supermicro", Product: "Supermicro X11", Model: "SYS-1029U", Firmware: "1.74.09",
	SystemID: "1", ManagerID: "1", ChassisID: "1", Registry: "Base.v1_4_0",
	ResetTypes:  fullResets,
	BootTargets: append(slices.Clone(httpTargets), "UsbCd"),
	Slots:       []Slot{{ID: "CD1", Types: disc}},
	MediaTarget: "UsbCd", BootEnabledRequired: true, BootModeForgotten: true,
	InsertImageOnly: true, EmptySlotHidesEject: true,
	Console:    &supermicroConsole,
	BIOS:       &supermicroBIOS,
	SecureBoot: &SecureBoot{},
	Inventory:  []Software{{ID: "BMC", Name: "BMC Firmware", Version: "BMC"}, {ID: "BIOS", Name: "BIOS Firmware", Version: "BIOS"}},
}

var supermicroX12 = like(supermicroX11, func(m *Manners) {
	m.Name, m.Product, m.Model, m.Firmware = "supermicro-x12", "Supermicro X12", "SYS-120U", "01.05.12"
	m.Slots = []Slot{{ID: "VirtualMedia1", Types: disc}, {ID: "VirtualMedia2", Types: disc}}
	m.ShowsBootProgress, m.Console = true, &supermicroToldConsole
	m.RAID = &RAID{ApplyTimes: []string{"Immediate", "OnReset"}, Tasks: true}
})

var xcc = Manners{
	Name: "xcc", Vendor: "Lenovo", Product: "Lenovo XClarity Controller", Model: "ThinkSystem SR650 V2", Firmware: "4.11",
	SystemID: "1", ManagerID: "1", ChassisID: "1", Registry: "Base.1.8",
	ResetTypes: fullResets, BootTargets: plainTargets, NVRAMChangesTaken: 1,
	Slots: []Slot{
		{ID: "RDOC1", Types: disc, Unusable: true}, {ID: "RDOC2", Types: disc, Unusable: true},
		{ID: "EXT1", Types: disc}, {ID: "EXT2", Types: disc},
		{ID: "Remote1", Types: disc}, {ID: "Remote2", Types: disc},
	},
	MediaByPatch: true,
	Console:      &lenovoConsole,
	// pubs.lenovo.com/xcc3-restapi/update_pending_system_settings_patch
	OrderAt: "Pending", OrderWaits: true,
	BIOS:       &lenovoBIOS,
	SecureBoot: &SecureBoot{},
	RAID:       &RAID{ApplyTimes: []string{"Immediate"}},
	Inventory: []Software{
		{ID: "BMC-Primary", Name: "BMC (Primary)", Version: "CDI3A6E-4.11"}, {ID: "BMC-Backup", Name: "BMC (Backup)", Version: "CDI340V-3.10"},
		{ID: "UEFI", Name: "UEFI", Version: "BIOS"}, {ID: "LXPM", Name: "LXPM", Version: "PDL132F-3.30"},
	},
}

var sr675 = like(xcc, func(m *Manners) {
	m.Name, m.Model = "sr675", "ThinkSystem SR675 V3"
	m.ForceRestartHangs = true
})

var ami = Manners{
	Name: "ami", Vendor: "AMI", Product: "MegaRAC", Model: "MegaRAC Server", Firmware: "13.4",
	SystemID: "Self", ManagerID: "Self", ChassisID: "Self", Registry: "Base.1.5",
	ResetTypes: fullResets, BootTargets: plainTargets,
	Slots:  []Slot{{ID: "CD1", Types: disc}, {ID: "HD1", Types: stick}},
	BootAt: "SD", BootWholeWithETag: true,
	Says: map[Cause]Message{
		BootElsewhere: {Status: 400, ID: "Ami.1.0.OperationSupportedInFutureStateURI", Text: "Boot properties are written at the future state URI.", Related: []string{"#/Boot"}, Resolution: "Use the settings resource."},
	},
	BIOS:       biosLike(plainBIOS, func(c *BIOS) { c.Settings, c.ApplyTimes, c.ETagRequired = "SD", nil, true }),
	SecureBoot: &SecureBoot{},
	Inventory:  []Software{{ID: "BIOS", Name: "BIOS", Version: "BIOS"}, {ID: "BMCImage1", Name: "BMCImage1", Version: "13.04.0"}},
}

var asrockRack = like(ami, func(m *Manners) {
	m.Name, m.Vendor, m.Product, m.Model, m.Firmware = "asrockrack", "ASRockRack", "ASRockRack", "1U12LW", "2.03.00"
})

var dgx = Manners{
	Name: "dgx", Vendor: "NVIDIA", Product: "NVIDIA DGX H100", Model: "DGX H100", Firmware: "24.01.05",
	SystemID: "DGX", ManagerID: "BMC", ChassisID: "DGX", OtherSystems: []string{"HGX_Baseboard_0"}, Registry: "Base.1.8",
	ResetTypes: fullResets, BootTargets: httpTargets,
	Slots:            []Slot{{ID: "CD1", Types: disc}},
	InsertNeedsLogin: true,
	BIOS:             biosLike(plainBIOS, func(c *BIOS) { c.Settings, c.ApplyTimes, c.ETagRequired = "SD", nil, true }),
	SecureBoot:       &SecureBoot{SetupMode: true},
	Inventory: []Software{
		{ID: "HostBIOS_0", Name: "Software Inventory", Version: "BIOS"}, {ID: "HostBMC_0", Name: "Software Inventory", Version: "BMC"},
	},
}

var gb200 = Manners{
	Name: "gb200", Vendor: "NVIDIA", Product: "GB200 NVL", Model: "GB200 NVL", Firmware: "GB200Nvl-25.01",
	SystemID: "System_0", ManagerID: "BMC_0", ChassisID: "Chassis_0", OtherSystems: []string{"HGX_Baseboard_0"}, Registry: "Base.1.16",
	ResetTypes: openBMC.ResetTypes, BootTargets: plainTargets, ShowsBootProgress: true,
	Slots: []Slot{{ID: "USB1", Types: disc}, {ID: "USB2", Types: disc}}, SlotsUnder: UnderManagers,
	Console:    &openBMCConsole,
	BIOS:       &plainBIOS,
	SecureBoot: &SecureBoot{},
	Inventory:  []Software{{ID: "FW_BMC_0", Name: "Software Inventory", Version: "GB200Nvl-25.01-6"}, {ID: "FW_CPU_0", Name: "Software Inventory", Version: "BIOS"}},
}

var nokia = Manners{
	Name: "nokia", Vendor: "Nokia", Product: "AirFrame", Model: "AirFrame OE20", Firmware: "4.37.00",
	SystemID: "Self", ManagerID: "Self", ChassisID: "Self", Registry: "Base.1.5",
	ResetTypes: fullResets, BootTargets: plainTargets, CodeIsMessage: true,
	Slots:               []Slot{{ID: "CD1", Types: disc}},
	InsertNeedsTransfer: true,
}

var cisco = Manners{
	Name: "cisco", Vendor: "Cisco Systems Inc.", Product: "Cisco IMC", Model: "UCSC-C220-M6S", Firmware: "4.3(2.240002)",
	SystemID: "WZP262900AB", ManagerID: "CIMC", ChassisID: "1", Registry: "Base.1.4",
	ResetTypes: fullResets, BootTargets: httpTargets,
	// The first is the console's own.
	Slots: []Slot{{ID: "0", Types: []string{"DVD"}, Unusable: true}, {ID: "1", Types: []string{"DVD"}}},
	// It stands for the BMCs that take changes of attributes at the resource itself.
	BIOS:      biosLike(plainBIOS, func(c *BIOS) { c.Settings, c.ApplyTimes = "", nil }),
	Inventory: []Software{{ID: "BMC", Name: "Cisco IMC", Version: "BMC"}, {ID: "BIOS", Name: "BIOS", Version: "C220M6.4.3.2a.0"}},
}

// gigabyte also stands for the BMCs that do not let anyone write the asset tag.
var gigabyte = Manners{
	Name: "gigabyte", Vendor: "GIGABYTE", Product: "Gigabyte Server", Model: "R182-Z91", Firmware: "12.61.21",
	SystemID: "Self", ManagerID: "Self", ChassisID: "Self", Registry: "Base.1.7",
	ResetTypes: fewResets, BootTargets: httpTargets, AssetTagReadOnly: true,
	Slots: []Slot{{ID: "CD1", Types: disc}}, SlotsUnder: UnderManagers,
	BIOS: biosLike(plainBIOS, func(c *BIOS) { c.Settings, c.ApplyTimes = "SD", nil }),
}
