package main

import (
	"cmp"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// fromFile reads the servers of --from. The file's word goes before the flags', but
// for --erase and --take-over, which no file can say.
func (f *enrollFlags) fromFile(ctx context.Context, a *app, args []string, labels map[string]string) ([]core.Enrollment, error) {
	read, err := readRack(a.in, "--from", f.from)
	if err != nil {
		return nil, err
	}
	rack := read.File
	if len(rack.Nodes) == 0 {
		return nil, usagef("--from %s: it lists no nodes; see 'metalpool help rack-file' for what it may hold", f.from)
	}
	f.node.By = read.Declaration.By
	servers, err := f.ofFile(ctx, a, rack, labels, func(n rackfile.Node) bool { return len(args) != 1 || string(n.ID) == args[0] })
	switch {
	case err != nil:
		return nil, err
	case len(servers) == 0:
		return nil, usagef("%s lists no node %q", f.from, args[0])
	case f.node.Address != "" || f.node.Fingerprint != "" || f.node.ConsoleKey != "" || f.node.SSHPort != 0 || f.node.DockerPort != 0:
		return nil, usagef("--address, --ssh-port, --docker-port, --fingerprint and --console-key are those of one server; write them into %s", f.from)
	}
	return servers, nil
}

// ofFile are the servers of a file that are wanted.
func (f *enrollFlags) ofFile(ctx context.Context, a *app, rack rackfile.File, labels map[string]string, wanted func(rackfile.Node) bool) ([]core.Enrollment, error) {
	ca, err := readCA(f.caFile)
	if err != nil {
		return nil, err
	}
	var (
		servers  []core.Enrollment
		password *string // for all that have none of their own
	)
	for _, n := range rack.Nodes {
		if !wanted(n) {
			continue
		}
		s := n.Enrollment()
		s.Erase, s.TakeOver, s.By = f.node.Erase, f.node.TakeOver, f.node.By
		s.User, s.Pool = cmp.Or(s.User, f.user), cmp.Or(s.Pool, f.pool)
		s.Advertise, s.Boot = cmp.Or(s.Advertise, f.node.Advertise), cmp.Or(s.Boot, f.node.Boot)
		all := maps.Clone(labels)
		maps.Copy(all, s.Labels)
		s.Labels = all
		if s.CA == "" && s.Fingerprint == "" && !s.Insecure {
			s.CA, s.Insecure = ca, f.node.Insecure
		}
		if s.Password == "" {
			if password == nil {
				text, err := f.password.read(ctx, a, "Password of the BMCs that "+f.from+" has none for")
				if err != nil {
					return nil, err
				}
				password = &text
			}
			s.Password = *password
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// readRack reads the rack file that a flag names.
func readRack(stdin io.Reader, flag, path string) (rackfile.Rack, error) {
	source, err := openInput(stdin, path)
	if err != nil {
		return rackfile.Rack{}, usagef("%s: %w", flag, err)
	}
	defer source.Close()
	rack, err := rackfile.Read(path, source)
	if err != nil {
		return rack, asUsage(err)
	}
	if file, ok := source.(*os.File); ok && rack.Name == "" {
		place, err := placeOf(file)
		if err != nil {
			return rack, usagef("%s: %w", flag, err)
		}
		if place != "" {
			rack.Declaration.By = core.DeclaredAt(place)
		}
	}
	return rack, nil
}

// placeOf is where a file is, whatever way leads to its folder; "" is nowhere, as of a pipe.
// A link in its last part is left: what it leads to may be called otherwise each time.
func placeOf(file *os.File) (string, error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	path, err := filepath.Abs(file.Name())
	if err != nil {
		return "", err
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.ToSlash(filepath.Join(folder, filepath.Base(path))), err
}

// openInput opens a file; - is standard input.
func openInput(stdin io.Reader, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(path)
}
