package core

// Enrollment is a server to be added to a pool.
type Enrollment struct {
	ID          NodeID // default: made from the serial
	Pool        string // default: DefaultPool
	URL         string // of the BMC
	User        string
	Password    string // a secret, or a Reference
	CA          string // PEM; else the fingerprint seen now is recorded
	Fingerprint string // expected SHA-256 of the certificate, if known
	Insecure    bool   // explicitly unchecked TLS
	ConsoleKey  string // expected fingerprint of the console's SSH host key: SHA256:…; else the one seen now is recorded
	Labels      map[string]string
	Address     string
	SSHPort     int
	DockerPort  int
	Advertise   string
	Agent       AgentRoute
	Network     *Network
	Boot        BootMode
	Erase       bool // put it to use: erase all its disks now
	TakeOver    bool // though its asset tag carries another pool's ID
	By          Declarer
}
