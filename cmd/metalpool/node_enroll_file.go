package main

import (
	"cmp"
	"context"
	"io"
	"maps"
	"os"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// fromFile reads the servers of --from. The file's word goes before the flags', but
// for --erase and --take-over, which no file can say.
func (f *enrollFlags) fromFile(ctx context.Context, a *app, args []string, labels map[string]string) ([]core.Enrollment, error) {
	rack, err := readRack(a.in, f.from)
	if err != nil {
		return nil, err
	}
	ca, err := readCA(f.caFile)
	if err != nil {
		return nil, err
	}
	var (
		servers  []core.Enrollment
		password *string // for all that have none of their own
	)
	for _, n := range rack.Nodes {
		s := n.Enrollment()
		if len(args) == 1 && string(s.ID) != args[0] {
			continue
		}
		s.Erase, s.TakeOver = f.node.Erase, f.node.TakeOver
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
	switch {
	case len(servers) == 0:
		return nil, usagef("%s lists no node %q", f.from, args[0])
	case f.node.Address != "" || f.node.Fingerprint != "" || f.node.ConsoleKey != "" || f.node.SSHPort != 0 || f.node.DockerPort != 0:
		return nil, usagef("--address, --ssh-port, --docker-port, --fingerprint and --console-key are those of one server; write them into %s", f.from)
	}
	return servers, nil
}

func readRack(stdin io.Reader, path string) (rackfile.File, error) {
	source, err := openInput(stdin, path)
	if err != nil {
		return rackfile.File{}, usagef("--from: %w", err)
	}
	defer source.Close()
	rack, err := rackfile.Parse(source)
	if err != nil {
		return rack, usagef("--from %s: %w", path, err)
	}
	return rack, nil
}

// openInput opens a file; - is standard input.
func openInput(stdin io.Reader, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(path)
}
