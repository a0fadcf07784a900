package guest

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

var servicePrograms = map[string]program{
	"systemctl": systemctl,
	"service": func(c call, args []string) int {
		if len(args) < 2 {
			return c.complain("usage: service NAME start|stop|restart|status")
		}
		return systemctl(c, []string{args[1], args[0]})
	},
	"journalctl": func(c call, _ []string) int {
		if failure := c.g.engine.failure(); failure != "" {
			c.printf("dockerd: %s\n", failure)
		}
		return 0
	},
	"docker": dockerCLI, "dockerd": func(c call, _ []string) int { return c.complain("use systemctl start docker") },
	"ip": ip, "ss": sockets, "netstat": sockets,
}

// enabled reports whether a service starts at boot.
func (g *Guest) enabled(name string) bool {
	_, err := g.Files().Stat(path.Join(wantsDir, name+".service"))
	return err == nil
}

// setting reads a service's ExecStart as systemd does: the unit, then its drop-ins
// in the order of their names, where an empty value forgets those before it.
func (g *Guest) setting(unit, key string) []string {
	root := g.Files()
	names := []string{path.Join(unitDir, unit), path.Join("/etc/systemd/system", unit)}
	dropIns := path.Join("/etc/systemd/system", unit+".d")
	if list, err := root.ReadDir(dropIns); err == nil {
		for _, e := range list {
			if strings.HasSuffix(e.Name(), ".conf") {
				names = append(names, path.Join(dropIns, e.Name()))
			}
		}
	}
	var values []string
	for _, name := range names {
		text, err := root.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			k, v, found := strings.Cut(strings.TrimSpace(line), "=")
			if !found || k != key {
				continue
			}
			if v == "" {
				values = nil
				continue
			}
			values = append(values, v)
		}
	}
	return values
}

// unitState is what systemctl says of a service.
func (g *Guest) unitState(name string) (state string, known bool) {
	switch name {
	case "docker":
		return g.engine.state(), true
	case "ssh", "sshd":
		return "active", true
	}
	return "inactive", false
}

func systemctl(c call, args []string) int {
	var words []string
	now := false
	for _, arg := range args {
		switch {
		case arg == "--now":
			now = true
		case !strings.HasPrefix(arg, "-"):
			words = append(words, strings.TrimSuffix(arg, ".service"))
		}
	}
	if len(words) == 0 {
		return c.complain("no command")
	}
	verb, units := words[0], words[1:]
	switch verb {
	case "daemon-reload", "daemon-reexec", "reset-failed":
		return c.asRoot(func() int { return 0 })
	case "is-system-running":
		c.printf("running\n")
		return 0
	case "reboot", "poweroff", "halt":
		return c.power(verb == "reboot")
	}
	if len(units) == 0 {
		return c.complain("too few arguments")
	}
	for _, unit := range units {
		state, known := c.g.unitState(unit)
		var status int
		switch {
		case verb == "is-active":
			c.printf("%s\n", state)
			status = truth(state == "active", 3)
		case !known:
			c.complain("Unit %s.service could not be found.", unit)
			status = 4
		case verb == "is-enabled":
			on := c.g.enabled(unit)
			c.printf("%s\n", map[bool]string{true: "enabled", false: "disabled"}[on])
			status = truth(on, 1)
		case verb == "status":
			c.printf("%s.service\n     Active: %s\n", unit, state)
			if failure := c.g.engine.failure(); unit == "docker" && failure != "" {
				c.printf("dockerd: %s\n", failure)
			}
			status = truth(state == "active", 3)
		default:
			status = c.asRoot(func() int { return c.operate(verb, unit, now) })
		}
		if status != 0 {
			return status
		}
	}
	return 0
}

func truth(ok bool, otherwise int) int {
	if ok {
		return 0
	}
	return otherwise
}

func (c call) asRoot(do func() int) int {
	if c.Files.UID() != 0 {
		return c.complain("Interactive authentication required.")
	}
	return do()
}

// operate changes a service. sshd cannot be stopped: who asks comes through it.
func (c call) operate(verb, unit string, now bool) int {
	link := path.Join(wantsDir, unit+".service")
	var err error
	switch verb {
	case "enable":
		if err = c.Files.Symlink(path.Join(unitDir, unit+".service"), link); errors.Is(err, fs.ErrExist) {
			err = nil
		}
		verb = "start"
	case "disable":
		if err = c.Files.Remove(link); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		verb = "stop"
	case "start", "stop", "restart", "reload", "try-restart", "reload-or-restart":
		now = true
	default:
		return c.complain("Unknown command verb %s.", verb)
	}
	if err != nil {
		return c.complain("%s", shell.Reason(err))
	}
	if !now || unit != "docker" {
		return 0
	}
	switch verb {
	case "stop":
		c.g.engine.stop()
		return 0
	case "start":
		err = c.g.engine.start()
	default:
		c.g.engine.stop()
		err = c.g.engine.start()
	}
	if err != nil {
		return c.complain("Job for docker.service failed: %v", err)
	}
	return 0
}
