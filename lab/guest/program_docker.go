package guest

import (
	"strings"
)

// dockerCLI is the machine's docker program, which talks to its engine.
func dockerCLI(c call, args []string) int {
	if len(args) == 0 {
		c.printf("Usage:  docker COMMAND\n")
		return 0
	}
	command, format := "", ""
	for i, arg := range args {
		switch value, found := strings.CutPrefix(arg, "--format="); {
		case found:
			format = value
		case (arg == "--format" || arg == "-f") && i+1 < len(args):
			format = args[i+1]
		case arg == "--version" || arg == "-v":
			c.printf("Docker version %s, build lab\n", engineVersion)
			return 0
		case command == "" && !strings.HasPrefix(arg, "-"):
			command = arg
		}
	}
	running := c.g.engine.state() == "active"
	switch command {
	case "version":
		if format == "" {
			c.printf("Client:\n Version:           %s\n API version:       %s\n OS/Arch:           linux/amd64\n", engineVersion, engineAPI)
		}
	case "info", "ps", "images":
	default:
		c.complain("%s: the engine of a simulated machine runs no containers", command)
		return 125
	}
	if !running {
		return c.complain("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	}
	switch {
	case format != "":
		c.printf("%s\n", engineVersion)
	case command == "version":
		c.printf("\nServer:\n Engine:\n  Version:          %s\n  API version:      %s (minimum version 1.12)\n  OS/Arch:          linux/amd64\n", engineVersion, engineAPI)
	case command == "info":
		c.printf("Server:\n Containers: 0\n Images: 0\n Server Version: %s\n Storage Driver: overlay2\n Operating System: Debian GNU/Linux 12 (bookworm)\n Name: %s\n", engineVersion, c.g.hostname())
	case command == "ps":
		c.printf("CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n")
	case command == "images":
		c.printf("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n")
	}
	return 0
}
