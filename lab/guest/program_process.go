package guest

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
)

var processPrograms = map[string]program{"setsid": setsid, "kill": kill, "dd": dd}

// firstPID is that of the first process with a number of its own; it depends on the boot,
// so that a number of another boot means nobody.
func (g *Guest) firstPID() int { return 2000 + int(g.booted.UnixNano()/1000%20000) }

// setsid starts a program that goes on when whoever started it is gone, and returns at
// once, as the real one does where it has to fork.
func setsid(c call, args []string) int {
	if len(args) == 0 {
		return c.complain("no command specified")
	}
	if c.g.ctx.Err() != nil {
		return 1
	}
	p := *c.Process
	p.Args, p.In, p.Out, p.Err = args, strings.NewReader(""), io.Discard, io.Discard
	p.PID = c.g.enter()
	ctx := context.WithValue(c.g.ctx, depthKey{}, c.ctx.Value(depthKey{}))
	c.g.work.Go(func() {
		defer c.g.leave(p.PID)
		call{Process: &p, g: c.g, ctx: ctx}.start(&p)
	})
	return 0
}

// enter gives a process a number that nobody had since the machine booted.
func (g *Guest) enter() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.processes == nil {
		g.processes, g.lastPID = map[int]bool{}, g.firstPID()
	}
	g.lastPID++
	g.processes[g.lastPID] = true
	return g.lastPID
}

func (g *Guest) leave(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.processes, pid)
}

func (g *Guest) alive(pid int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.processes[pid]
}

// kill only looks whether a process is there.
func kill(c call, args []string) int {
	if len(args) != 2 || args[0] != "-0" {
		return c.complain("only kill -0 PID is known in the lab")
	}
	pid, err := strconv.Atoi(args[1])
	if err != nil || !c.g.alive(pid) {
		return c.complain("(%s) - No such process", args[1])
	}
	return 0
}

// dd copies as many reads as count says, each of at most bs bytes.
func dd(c call, args []string) int {
	bs, count := 512, -1
	in, out := c.In, c.Out
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "bs", "count":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || name == "bs" && (n < 1 || n > maxLine) {
				return c.complain("invalid number: '%s'", value)
			}
			if name == "bs" {
				bs = n
			} else {
				count = n
			}
		case "if", "of":
			flag := os.O_RDONLY
			if name == "of" {
				flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := c.Files.Open(c.Path(value), flag, 0o644)
			if c.failed("failed to open ", value, err) {
				return 1
			}
			defer func() { _ = f.Close() }() // what it writes is in the file by then
			if name == "if" {
				in = f
			} else {
				out = f
			}
		default:
			return c.complain("%s is not an operand that the lab knows", arg)
		}
	}
	for buffer := make([]byte, bs); count != 0 && c.ctx.Err() == nil; count-- {
		n, err := in.Read(buffer)
		if _, failed := out.Write(buffer[:n]); failed != nil {
			return c.complain("error writing: %v", failed)
		}
		if err == io.EOF {
			return 0
		}
		if err != nil {
			return c.complain("error reading: %v", err)
		}
	}
	return 0
}
