package guest

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/metalpool/metalpool/lab/guest/shell"
)

var systemPrograms = map[string]program{
	"sudo": sudo, "sh": bash, "bash": bash, "env": env, "which": which,
	"hostname": hostnameProgram, "uname": uname, "id": id, "whoami": whoami, "date": date, "uptime": uptime,
	"nproc": func(c call, _ []string) int { c.printf("%d\n", max(c.g.config.CPUs, 1)); return 0 },
	"sync":  func(call, []string) int { return 0 },
	"true":  func(call, []string) int { return 0 },
	"false": func(call, []string) int { return 1 },
	"sleep": sleep, "timeout": timeout,
	"reboot":   func(c call, _ []string) int { return c.power(true) },
	"poweroff": func(c call, _ []string) int { return c.power(false) },
	"halt":     func(c call, _ []string) int { return c.power(false) },
	"shutdown": func(c call, args []string) int {
		for _, arg := range args {
			if arg == "-r" || arg == "--reboot" {
				return c.power(true)
			}
		}
		return c.power(false)
	},
	"apt-get": apt, "apt": apt, "curl": noNetwork, "wget": noNetwork,
	"cloud-init": func(c call, args []string) int {
		if len(args) == 0 || args[0] != "status" {
			return c.complain("only 'cloud-init status' is known in the lab")
		}
		c.printf("status: done\n")
		return 0
	},
}

// as runs a command as another user, as sudo and login do.
func sudo(c call, args []string) int {
	set, rest, bad := options(args, "EnHiSs", "u", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	to, found := c.g.account("root")
	if name, asked := set['u']; asked {
		to, found = c.g.account(name)
	}
	if !found {
		return c.complain("unknown user %s", set['u'])
	}
	if !c.g.maySudo(c.Files.UID()) {
		return c.complain("%s is not in the sudoers file.", c.g.userName(c.Files.UID()))
	}
	p := *c.Process
	p.Files = c.g.view(to)
	p.Env = append(append([]string{}, p.Env...), "USER="+to.name, "LOGNAME="+to.name, "HOME="+to.home,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SUDO_USER="+c.g.userName(c.Files.UID()))
	for len(rest) > 0 { // sudo NAME=value command
		name, _, assigns := strings.Cut(rest[0], "=")
		if !assigns || strings.Contains(name, "/") {
			break
		}
		p.Env = append(p.Env, rest[0])
		rest = rest[1:]
	}
	if has(set, 'i') {
		p.Dir = to.home
	}
	switch {
	case len(rest) == 0 && !has(set, 'i') && !has(set, 's'):
		return c.complain("a command is needed")
	case len(rest) == 0:
		rest = []string{"bash"}
	}
	p.Args = rest
	return c.start(&p)
}

func bash(c call, args []string) int {
	p := *c.Process
	before := ""
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		flags := args[0]
		args = args[1:]
		switch flags {
		case "--version":
			c.printf("the lab's shell, after GNU bash\n")
			return 0
		case "-l", "-i", "-s", "--login":
			continue
		}
		flags, command := strings.CutSuffix(strings.ReplaceAll(flags, "l", ""), "c")
		if len(flags) > 1 {
			before += "set " + flags + "\n"
		}
		if !command {
			continue
		}
		if len(args) == 0 {
			return c.complain("-c: option requires an argument")
		}
		p.Args = []string{c.Args[0]}
		if len(args) > 1 {
			p.Args = args[1:]
		}
		return c.g.script(c.ctx, &p, before+args[0])
	}
	text, status := readScript(c, &p, args)
	if status != 0 {
		return status
	}
	return c.g.script(c.ctx, &p, before+text)
}

// readScript reads the file that is named, or the standard input.
func readScript(c call, p *shell.Process, args []string) (text string, status int) {
	if len(args) > 0 && args[0] != "-" {
		data, err := c.Files.ReadFile(c.Path(args[0]))
		if err != nil {
			c.complain("%s: %s", args[0], shell.Reason(err))
			return "", 127
		}
		p.Args = args
		return string(data), 0
	}
	data, err := io.ReadAll(io.LimitReader(c.In, maxLine))
	if err != nil {
		return "", 1
	}
	return string(data), 0
}

func env(c call, args []string) int {
	p := *c.Process
	p.Env = append([]string{}, p.Env...)
	for len(args) > 0 && strings.Contains(args[0], "=") {
		p.Env = append(p.Env, args[0])
		args = args[1:]
	}
	if len(args) == 0 {
		c.printf("%s\n", strings.Join(p.Env, "\n"))
		return 0
	}
	p.Args = args
	return c.start(&p)
}

func which(c call, args []string) int {
	status := 0
	for _, name := range args {
		at, err := shell.LookPath(c.Files, c.Dir, c.Getenv("PATH"), name)
		if err != nil {
			status = 1
			continue
		}
		c.printf("%s\n", at)
	}
	return status
}

// hostname is the name that the machine has now: what was set, or what it booted with.
func (g *Guest) hostname() string {
	g.mu.Lock()
	set := g.host
	g.mu.Unlock()
	if set != "" {
		return set
	}
	text, err := g.Files().ReadFile("/etc/hostname")
	if err != nil {
		return "localhost"
	}
	return strings.TrimSpace(string(text))
}

func hostnameProgram(c call, args []string) int {
	set, rest, bad := options(args, "fsIid", "", nil)
	switch {
	case bad != "":
		return c.unknown(bad)
	case has(set, 'I') || has(set, 'i'):
		c.printf("%s\n", c.g.config.Address)
	case len(rest) == 0:
		c.printf("%s\n", c.g.hostname())
	case c.Files.UID() != 0:
		return c.complain("you must be root to change the host name")
	default:
		c.g.mu.Lock()
		c.g.host = rest[0]
		c.g.mu.Unlock()
	}
	return 0
}

func uname(c call, args []string) int {
	set, _, bad := options(args, "asnrvmpio", "", map[string]byte{"all": 'a'})
	if bad != "" {
		return c.unknown(bad)
	}
	if len(set) == 0 {
		set['s'] = ""
	}
	var words []string
	for _, part := range []struct {
		flag byte
		text string
	}{{'s', "Linux"}, {'n', c.g.hostname()}, {'r', kernel}, {'v', "#1 SMP metalpool lab"}, {'m', "x86_64"}, {'o', "GNU/Linux"}} {
		if has(set, 'a') || has(set, part.flag) {
			words = append(words, part.text)
		}
	}
	c.printf("%s\n", strings.Join(words, " "))
	return 0
}

func id(c call, args []string) int {
	set, rest, bad := options(args, "ungG", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	uid, gid := c.Files.UID(), c.Files.GID()
	if len(rest) > 0 {
		a, found := c.g.account(rest[0])
		if !found {
			return c.complain("'%s': no such user", rest[0])
		}
		uid, gid = a.uid, a.gid
	}
	user, group := c.g.userName(uid), c.g.groupName(gid)
	number, name := uid, user
	if has(set, 'g') || has(set, 'G') {
		number, name = gid, group
	}
	switch {
	case len(set) == 0:
		c.printf("uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", uid, user, gid, group, gid, group)
	case has(set, 'n'):
		c.printf("%s\n", name)
	default:
		c.printf("%d\n", number)
	}
	return 0
}

func whoami(c call, _ []string) int {
	c.printf("%s\n", c.g.userName(c.Files.UID()))
	return 0
}

func date(c call, args []string) int {
	now := c.g.config.Now().UTC()
	for _, arg := range args {
		if format, found := strings.CutPrefix(arg, "+"); found {
			c.printf("%s\n", strings.NewReplacer("%s", strconv.FormatInt(now.Unix(), 10), "%Y", now.Format("2006"), "%m", now.Format("01"),
				"%d", now.Format("02"), "%H", now.Format("15"), "%M", now.Format("04"), "%S", now.Format("05"),
				"%F", now.Format("2006-01-02"), "%T", now.Format("15:04:05")).Replace(format))
			return 0
		}
	}
	c.printf("%s\n", now.Format("Mon Jan _2 15:04:05 UTC 2006"))
	return 0
}

func uptime(c call, _ []string) int {
	now := c.g.config.Now()
	up := now.Sub(c.g.booted).Round(time.Second)
	c.printf(" %s up %s, load average: 0.00, 0.00, 0.00\n", now.UTC().Format("15:04:05"), up)
	return 0
}

func sleep(c call, args []string) int {
	if len(args) == 0 {
		return c.complain("missing operand")
	}
	d, err := interval(args[0])
	if err != nil {
		return c.complain("%v", err)
	}
	select {
	case <-time.After(d):
		return 0
	case <-c.ctx.Done():
		return 130
	}
}

// interval reads 5, 0.5 or 2m.
func interval(text string) (time.Duration, error) {
	unit := "s"
	if strings.HasSuffix(text, "s") || strings.HasSuffix(text, "m") || strings.HasSuffix(text, "h") {
		unit = ""
	}
	d, err := time.ParseDuration(text + unit)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("invalid time interval '%s'", text)
	}
	return d, nil
}

func timeout(c call, args []string) int {
	_, args, bad := options(args, "", "ks", nil) // what ends here ends at once
	if bad != "" {
		return c.unknown(bad)
	}
	if len(args) < 2 {
		return c.complain("missing operand")
	}
	d, err := interval(args[0])
	if err != nil {
		return c.complain("%v", err)
	}
	ctx, cancel := context.WithTimeout(c.ctx, d)
	defer cancel()
	p := *c.Process
	p.Args = args[1:]
	status := call{Process: c.Process, g: c.g, ctx: ctx}.start(&p)
	if ctx.Err() != nil && c.ctx.Err() == nil {
		return 124
	}
	return status
}

func (c call) power(restart bool) int {
	if c.Files.UID() != 0 {
		return c.complain("must be root")
	}
	if c.g.config.Power == nil {
		return c.complain("this machine's power is not ours to switch")
	}
	c.g.config.Power(restart)
	return 0
}

// apt says yes: what docker-machine asks for is there.
func apt(c call, args []string) int {
	if c.Files.UID() != 0 {
		fmt.Fprintln(c.Err, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)")
		return 100
	}
	c.printf("Reading package lists...\n")
	for i, arg := range args {
		if arg != "install" {
			continue
		}
		for _, name := range args[i+1:] {
			if !strings.HasPrefix(name, "-") {
				c.printf("%s: the lab's machines install nothing; taken as installed.\n", name)
			}
		}
	}
	return 0
}

// noNetwork fails as on a machine whose network leads nowhere.
func noNetwork(c call, args []string) int {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			c.complain("(6) Could not resolve host: the lab's machines reach no network (%s)", arg)
			return 6
		}
	}
	if len(args) > 0 && args[0] == "--version" {
		c.printf("%s of metalpool's lab\n", c.Args[0])
		return 0
	}
	return c.complain("no URL")
}
