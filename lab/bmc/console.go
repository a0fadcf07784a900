package bmc

import "strings"

// Serial is a Machine whose serial port its BMC can watch.
type Serial interface {
	// Console returns the end of what the machine printed, at most 64 KiB, and what
	// it prints from there on. live is closed by stop, or when the machine ends it.
	Console() (recent []byte, live <-chan []byte, stop func())
}

// Typist is a Machine whose serial port takes input, too.
type Typist interface {
	// Type is called with what was typed, which it does not keep.
	Type(input []byte)
}

// Console is how a family of BMCs offers its server's serial port over SSH.
type Console struct {
	// Told is where Redfish tells of it.
	Told Told
	// Entry are the commands that lead from the BMC's command line into the console,
	// each on a line of its own; without any, who logs in is there at once.
	Entry   []string
	Prompt  string // of the command line
	Unknown string // said to any other command
	Welcome string // said by the console before what the machine printed
	Taken   string // said where all Sessions are in use
	HotKey  string // HotKeySequenceDisplay, where Redfish has it
	// Sessions is how many can watch at once; 0 means 15.
	Sessions int
}

// Told is where a BMC's Redfish tells of its console.
type Told int

const (
	// InSystem: ComputerSystem.SerialConsole, with the port and the command.
	InSystem Told = iota
	// InManager: Manager.SerialConsole names SSH, and the manager's network protocol
	// the port. The command is known from the manual.
	InManager
	// AsShell: the same, but it is Manager.CommandShell that names SSH.
	AsShell
)

// The consoles that there are. What they say was seen by others; docs/console.md
// names the sources.
var (
	openBMCConsole = Console{Told: InSystem, HotKey: "Press ~. to exit console"}
	dellConsole    = Console{
		Told: AsShell, Entry: []string{"console com2"}, Prompt: "racadm>>", Unknown: "ERROR: Invalid subcommand specified.",
		Welcome: "Connected to Serial Device 2. To end type: ^\\\r\n", Taken: "ERROR: The serial console is in use.", Sessions: 4,
	}
	hpeConsole = Console{
		Told: InManager, Entry: []string{"vsp"}, Prompt: "</>hpiLO-> ", Unknown: "status=2\r\nstatus_tag=COMMAND PROCESSING FAILED\r\nerror_tag=COMMAND NOT RECOGNIZED",
		Welcome: "Virtual Serial Port Active: COM2\r\n\r\nStarting virtual serial port.\r\nPress 'ESC (' to return to the CLI Session.\r\n\r\n",
		Taken:   "Virtual Serial Port is currently in use by another session.", Sessions: 1,
	}
	lenovoConsole = Console{
		Told: InManager, Entry: []string{"console 1"}, Prompt: "system> ", Unknown: "Invalid command syntax.",
		Taken: "Another session is active.", Sessions: 1,
	}
	supermicroConsole = Console{
		Told: InManager, Entry: []string{"cd system1/sol1", "start"}, Prompt: "-> ", Unknown: "COMMAND NOT RECOGNIZED",
		Welcome: "press <Enter>, <Esc>, and then <T> to terminate session\r\n",
		HotKey:  "press <Enter>, <Esc>, and then <T> to terminate session",
		Taken:   "SOL session is already active.", Sessions: 1,
	}
	supermicroToldConsole = func() Console { c := supermicroConsole; c.Told = InSystem; return c }()
)

// OffersConsole says whether the BMC has a serial console to be served: its manners
// know one, and its machine has a serial port.
func (b *BMC) OffersConsole() bool {
	_, serial := b.config.Machine.(Serial)
	return serial && b.manners.Console != nil
}

func (b *BMC) consolePort() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sshPort
}

func (b *BMC) setConsolePort(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sshPort = port
}

// sessions is how many can watch at once.
func (c *Console) sessions() int {
	if c.Sessions == 0 {
		return 15
	}
	return c.Sessions
}

// tellConsole puts what the system says of its console into d.
func (b *BMC) tellConsole(d doc) {
	c, port := b.manners.Console, b.consolePort()
	if c == nil || c.Told != InSystem {
		return
	}
	ssh := doc{"ServiceEnabled": port != 0, "HotKeySequenceDisplay": c.HotKey}
	if port != 0 {
		ssh["Port"] = port
	}
	if len(c.Entry) > 0 {
		ssh["SharedWithManagerCLI"] = true
		ssh["ConsoleEntryCommand"] = strings.Join(c.Entry, "; ")
	}
	d["SerialConsole"] = doc{
		"MaxConcurrentSessions": c.sessions(), "SSH": ssh,
		"IPMI": doc{"ServiceEnabled": true, "Port": 623},
	}
}

// tellShells puts what the manager says of consoles and shells into d.
func (b *BMC) tellShells(d doc) {
	c, port := b.manners.Console, b.consolePort()
	switch {
	case c == nil:
		d["SerialConsole"] = doc{"ServiceEnabled": true, "MaxConcurrentSessions": 1, "ConnectTypesSupported": []string{"IPMI"}}
		return
	case c.Told == InManager:
		d["SerialConsole"] = doc{"ServiceEnabled": port != 0, "MaxConcurrentSessions": c.sessions(), "ConnectTypesSupported": []string{"SSH", "IPMI"}}
	case c.Told == AsShell:
		d["SerialConsole"] = doc{"ServiceEnabled": false, "MaxConcurrentSessions": 0, "ConnectTypesSupported": []string{}}
		d["CommandShell"] = doc{"ServiceEnabled": port != 0, "MaxConcurrentSessions": c.sessions(), "ConnectTypesSupported": []string{"SSH"}}
	}
	d["NetworkProtocol"] = link(b.ownManagerPath() + "/NetworkProtocol")
}

// networkProtocol tells the port of SSH.
func (b *BMC) networkProtocol(r *request) (resource, bool) {
	there := r.ids[0] == b.manners.ManagerID && b.manners.Console != nil
	return plain(func() doc {
		port := b.consolePort()
		ssh := doc{"ProtocolEnabled": port != 0}
		if port != 0 {
			ssh["Port"] = port
		}
		return doc{
			"@odata.id": b.ownManagerPath() + "/NetworkProtocol", "@odata.type": "#ManagerNetworkProtocol.v1_5_0.ManagerNetworkProtocol",
			"Id": "NetworkProtocol", "Name": "Manager Network Protocol", "Status": healthy(), "SSH": ssh,
		}
	}), there
}
