package bmc

// Attributes of the firmware under the names that each vendor has for much the same.
// Which names and values there are depends on model and version; these are examples.

func choice(name, label string, values ...string) Attribute {
	return Attribute{Name: name, Label: label, Kind: Enumeration, Values: values, Default: values[0]}
}

func readOnly(a Attribute) Attribute {
	a.ReadOnly = true
	return a
}

func whole(name, label string, low, top float64) Attribute {
	return Attribute{Name: name, Label: label, Kind: Integer, Low: low, Top: top, Default: low}
}

func flag(name, label string) Attribute {
	return Attribute{Name: name, Label: label, Kind: Boolean, Default: true}
}

func secret(name, label string) Attribute {
	return Attribute{Name: name, Label: label, Kind: Password}
}

func fixed(name, label, value string) Attribute {
	return Attribute{Name: name, Label: label, Kind: String, Default: value, ReadOnly: true}
}

const biosRegistry = "BiosAttributeRegistry"

var plainAttributes = []Attribute{
	choice("HyperThreading", "Hyper-Threading", "Enabled", "Disabled"),
	choice("Virtualization", "CPU Virtualization", "Enabled", "Disabled"),
	choice("SRIOV", "SR-IOV Support", "Disabled", "Enabled"),
	choice("PowerRestorePolicy", "Restore on AC Power Loss", "LastState", "AlwaysOn", "AlwaysOff"),
	flag("QuietBoot", "Quiet Boot"),
	whole("BootDelaySeconds", "Boot Delay", 1, 30),
	secret("AdministratorPassword", "Administrator Password"),
	fixed("BuildDate", "Build Date", "03/14/2024"),
}

// plainBIOS goes by the book.
var plainBIOS = BIOS{
	Settings: "Settings", Registry: biosRegistry + ".1.0.0", RegistryAt: registriesPath + "/" + biosRegistry + ".1.0.0/" + biosRegistry + ".json",
	Attributes: plainAttributes, ApplyTimes: []string{"OnReset"},
}

func biosLike(c BIOS, change func(*BIOS)) *BIOS {
	change(&c)
	return &c
}

// dellBIOS: a change waits for ever without a job (github.com/dell/iDRAC-Redfish-Scripting
// issue 84, github.com/dell/terraform-provider-redfish issue 231); with one, what
// waits is shut (iDRAC-Redfish-Scripting issue 249); the new values show while the job
// still runs (github.com/dsx-ai-factory/libredfish pull request 25).
var dellBIOS = BIOS{
	Settings: "Settings", Registry: biosRegistry + ".v1_0_3", RegistryAt: "/redfish/v1/Systems/System.Embedded.1/Bios/BiosRegistry",
	ApplyTimes: []string{"OnReset", "AtMaintenanceWindowStart", "InMaintenanceWindowOnReset"}, Jobs: true,
	Attributes: []Attribute{
		choice("LogicalProc", "Logical Processor", "Enabled", "Disabled"),
		choice("ProcVirtualization", "Virtualization Technology", "Enabled", "Disabled"),
		choice("SriovGlobalEnable", "SR-IOV Global Enable", "Disabled", "Enabled"),
		choice("SysProfile", "System Profile", "PerfPerWattOptimizedDapc", "PerfOptimized", "Custom"),
		choice("AcPwrRcvry", "AC Power Recovery", "Last", "On", "Off"),
		whole("AcPwrRcvryUserDelay", "User Defined Delay", 60, 600),
		readOnly(choice("WorkloadProfile", "Workload Profile", "NotAvailable", "VtOptimizedProfile")),
		secret("SetupPassword", "Setup Password"),
		fixed("SystemModelName", "System Model Name", "PowerEdge"),
	},
}

// hpeBIOS: paths are in lower case, the settings show every attribute, and registries
// are sent packed (servermanagementportal.ext.hpe.com/docs/concepts/biosdatamodel).
var hpeBIOS = BIOS{
	Path: "bios", Settings: "settings", Registry: biosRegistry + "U46.v1_1_62",
	RegistryAt: "/redfish/v1/registrystore/registries/en/biosattributeregistryu46.v1_1_62", PackedRegistry: true, WholeSettings: true,
	Attributes: []Attribute{
		choice("ProcHyperthreading", "Intel Hyperthreading Options", "Enabled", "Disabled"),
		choice("ProcVirtualization", "Intel Virtualization Technology", "Enabled", "Disabled"),
		choice("Sriov", "SR-IOV", "Enabled", "Disabled"),
		choice("WorkloadProfile", "Workload Profile", "GeneralPowerEfficientCompute", "Virtualization-MaxPerformance", "Custom"),
		choice("ThermalConfig", "Thermal Configuration", "OptimalCooling", "IncreasedCooling", "MaximumCooling"),
		whole("NetworkBootRetryCount", "Network Boot Retry Count", 0, 20),
		secret("AdminPassword", "Admin Password"),
		fixed("SerialNumber", "Serial Number", "CZ0000"),
	},
}

// lenovoBIOS: changes wait in Pending, next to every other attribute
// (pubs.lenovo.com/xcc-restapi/update_pending_bios_settings_patch).
var lenovoBIOS = BIOS{
	Settings: "Pending", Registry: biosRegistry + ".1.0.0", RegistryAt: "/redfish/v1/schemas/registries/" + biosRegistry + ".1.0.0.json", WholeSettings: true,
	Attributes: []Attribute{
		choice("Processors_HyperThreading", "Hyper-Threading", "Enable", "Disable"),
		choice("Processors_IntelVirtualizationTechnology", "Intel Virtualization Technology", "Enable", "Disable"),
		choice("Processors_CPUPstateControl", "CPU P-state Control", "Autonomous", "Legacy", "None"),
		choice("DevicesandIOPorts_Device_Slot6", "Slot 6", "Enable", "Disable"),
		whole("Memory_AdvMemTestOptions", "Advanced Memory Test Options", 0, 0xF0000),
		fixed("SystemInformation_SystemSummary_MachineTypeModel", "Machine Type", "7Z71"),
	},
}

// supermicroBIOS: attributes have a number in their name, which depends on the model
// (supermicro.com, Redfish Reference Guide, BIOS Configuration); what waits is at SD.
var supermicroBIOS = BIOS{
	Settings: "SD", Registry: biosRegistry + ".1.0.0", RegistryAt: "/registries/" + biosRegistry + ".1.0.0.json", Lingers: 2,
	Attributes: []Attribute{
		flag("QuietBoot_0027", "Quiet Boot"),
		choice("OptionROMMessages_0028", "Option ROM Messages", "Force BIOS", "Keep Current"),
		choice("Hyper_ThreadingAll_00E8", "Hyper-Threading [ALL]", "Enable", "Disable"),
		choice("SR_IOVSupport_00BA", "SR-IOV Support", "Disabled", "Enabled"),
		choice("RestoreonACPowerLoss_0031", "Restore on AC Power Loss", "Last State", "Stay Off", "Power On"),
		whole("WatchDogDelay_0033", "Watch Dog Delay", 1, 30),
		fixed("BuildDate_0001", "Build Date", "01/25/2024"),
	},
}
