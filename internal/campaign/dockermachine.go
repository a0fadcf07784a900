package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"
)

// dockers is the environment of docker-machine with the driver, for whoever has that door.
func (w *World) dockers(d door) door {
	path := filepath.Dir(w.Programs.DockerMachine) + ":" + filepath.Dir(w.Programs.Metalpool) + ":/usr/sbin:/usr/bin:/sbin:/bin"
	return append(append(door{}, d...), "PATH="+path, "MACHINE_STORAGE_PATH="+filepath.Join(w.home, "machine"), "MACHINE_BUGSNAG_API_TOKEN=no-report")
}

// readyDockerMachine has docker-machine make its own CA: creates side by side race on that.
func (w *World) readyDockerMachine(ctx context.Context) error {
	for _, args := range [][]string{{"create", "-d", "none", "--url", "tcp://localhost:2376", "ca"}, {"rm", "-f", "ca"}} {
		if r := w.run(ctx, w.dockers(nil), Hurt{}, nil, w.Programs.DockerMachine, args...); !r.ok() {
			return fmt.Errorf("docker-machine %s: %s", args[0], r.err)
		}
	}
	return nil
}

// dockerMachine takes a machine by docker-machine and gives it back. What is left of one
// that was killed is given back when the burst ends.
func (c *client) dockerMachine(ctx context.Context, op Op, b *burst) {
	plain := c.door
	c.door = c.w.dockers(plain)
	defer func() { c.door = plain }()
	c.made++
	name := fmt.Sprintf("d%d-%d-%d", c.burst, c.number, c.made)
	r := c.call(ctx, op, b, "", c.w.Programs.DockerMachine, "create", "-d", "metalpool", "--metalpool-wait", "3s", name)
	var m Machine
	shown := c.metalpool(ctx, Op{Verb: Show}, b, "", "machine", "show", name, "-o", "json")
	if r.ok() && r.hurt != KillCommand && shown.ok() && json.Unmarshal([]byte(shown.out), &m) == nil {
		if err := b.history.Told(m.ID, c.name, name, m.Node, r.ended); err != nil {
			b.violate("OneOwner", err.Error())
		}
	}
	if m.ID != "" {
		b.history.Giving(m.ID, time.Now())
	}
	c.call(ctx, Op{Verb: DockerMachine}, b, m.ID, c.w.Programs.DockerMachine, "rm", "-f", name)
}
