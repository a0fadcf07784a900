package guest

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/guest/shell"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// Ramdisk is a machine before it has a system: files in memory, and the programs of a
// small shell. Nothing of the host is in its reach, and nothing of it listens.
type Ramdisk struct{ g *Guest }

// ramdiskPrograms are those of them that are no part of the other groups as a whole.
var ramdiskPrograms = []string{"sh", "env", "which", "hostname", "uname", "id", "whoami", "date", "uptime", "nproc", "sync", "true", "false", "sleep", "timeout", "reboot", "poweroff", "halt"}

var ramdiskImage = sync.OnceValue(func() *vfs.Image {
	image := vfs.NewImage(time.Date(2025, 3, 15, 9, 0, 0, 0, time.UTC))
	for _, dir := range []string{"/etc", "/proc", "/run", "/sys", "/sbin", "/usr"} {
		image.Add(dir, fs.ModeDir|0o755, "")
	}
	image.Add("/tmp", fs.ModeDir|fs.ModeSticky|0o777, "")
	image.Add("/etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\n")
	image.Add("/etc/group", 0o644, "root:x:0:\n")
	for _, device := range []string{"null", "zero"} {
		image.Add("/dev/"+device, fs.ModeDevice|fs.ModeCharDevice|0o666, device)
	}
	names := slices.Concat(ramdiskPrograms, slices.Collect(maps.Keys(filePrograms)), slices.Collect(maps.Keys(textPrograms)), slices.Collect(maps.Keys(processPrograms)))
	for _, name := range names {
		image.Add("/bin/"+name, 0o755, programMark+name)
	}
	return image
})

// forgotten keeps nothing: what is in memory is gone with it.
type forgotten struct{}

func (forgotten) Replay(func([]byte) error) error { return nil }
func (forgotten) Append([]byte) error             { return nil }
func (forgotten) Rewrite([]byte) error            { return nil }

// NewRamdisk starts one. power is told when a script turns the machine off or restarts
// it, and must return at once.
func NewRamdisk(name string, now func() time.Time, power func(restart bool)) (*Ramdisk, error) {
	tree, err := vfs.New(ramdiskImage(), forgotten{}, now)
	if err != nil {
		return nil, err
	}
	g := &Guest{config: Config{Now: now, Power: power, CPUs: 1}, tree: tree, booted: now(), host: name}
	g.engine = &engine{g: g}
	g.ctx, g.stop = context.WithCancel(context.Background())
	return &Ramdisk{g}, nil
}

// Close ends what scripts have left behind.
func (r *Ramdisk) Close() {
	r.g.stop()
	r.g.work.Wait()
}

// Run runs a script as the agent of a real ramdisk does: in a folder of its own, with the
// variables of its Env alone.
func (r *Ramdisk) Run(ctx context.Context, s core.Script, output io.Writer) (int, error) {
	root := r.g.Files()
	folder := "/tmp/" + core.NewID("step")
	if err := root.MkdirAll(path.Join(folder, ".run"), 0o700); err != nil {
		return 0, err
	}
	defer func() { _ = root.RemoveAll(folder) }() // of a memory that is about to be gone
	for name, text := range s.Files {
		if err := root.WriteFile(path.Join(folder, name), []byte(text), 0o600); err != nil {
			return 0, err
		}
	}
	if err := root.WriteFile(path.Join(folder, ".run/script"), []byte(s.Text), 0o700); err != nil {
		return 0, err
	}
	env := []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=" + folder}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		env = append(env, name+"="+s.Env[name])
	}
	said := &shared{to: output}
	p := &shell.Process{Args: []string{"sh", ".run/script"}, Env: env, Dir: folder, Files: root, In: bytes.NewReader(nil), Out: said, Err: said}
	if strings.HasPrefix(s.Text, "#!") {
		p.Args = []string{folder + "/.run/script"}
	}
	status := call{Process: p, g: r.g, ctx: ctx}.start(p)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return status, nil
}

// shared is written to from both ends of a script.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(p)
}
