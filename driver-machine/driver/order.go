package driver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/metalpool/metalpool/core"
)

// order is what the flags ask for. The first one makes the machine's key pair.
func (d *Driver) order() (core.Order, error) {
	request, err := d.request()
	if err != nil {
		return core.Order{}, err
	}
	o := core.Order{
		ID:      d.AllocationID,
		Owner:   d.Owner,
		Name:    d.MachineName,
		Request: request,
		Image:   d.Image,
		Profile: d.Profile,
		SSHUser: d.SSHUser,
		SSHPort: d.SSHPort,
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Duration
	}{
		{"--metalpool-wait", d.Wait, &o.Wait},
		{"--metalpool-acquire-timeout", d.AcquireTimeout, &o.AcquireTimeout},
		{"--metalpool-deploy-timeout", d.DeployTimeout, &o.DeployTimeout},
		{"--metalpool-ttl", d.TTL, &o.TTL},
	} {
		if *t.to, err = core.ParseDuration(t.flag, t.text); err != nil {
			return core.Order{}, err
		}
	}
	if o.UserData, err = readFile("--metalpool-init-file", d.InitFile, "give a file of cloud-init user data, such as one that starts with #cloud-config"); err != nil {
		return core.Order{}, err
	}
	if o.PostDeploy, err = readFile("--metalpool-post-deploy", d.PostDeploy, "give a script, such as one that starts with #!/bin/sh"); err != nil {
		return core.Order{}, err
	}
	if d.key == nil {
		if d.key, err = newKeyPair(d.MachineName); err != nil {
			return core.Order{}, err
		}
	}
	o.Keys = []string{d.key.public}
	return o, nil
}

func (d *Driver) request() (core.Request, error) {
	r := core.Request{Pool: d.Pool, Node: core.NodeID(d.Node), CPUs: d.CPUs}
	if d.CPUs < 0 {
		return r, &core.Error{Op: "read --metalpool-cpus", Kind: core.Invalid, Err: fmt.Errorf("%d is less than none", d.CPUs), Hint: "give a count such as 16"}
	}
	var err error
	read := func(to func() error) {
		if err == nil {
			err = to()
		}
	}
	read(func() (e error) { r.Labels, e = core.ParseSelectors(d.Labels); return })
	read(func() (e error) { r.Arch, e = core.ParseArch(d.Arch); return })
	read(func() (e error) {
		if d.Memory != "" {
			r.Memory, e = core.ParseBytes(d.Memory)
		}
		return
	})
	read(func() (e error) { r.Disks, e = core.ParseDisks(d.Disk); return })
	read(func() (e error) { r.NICs, e = core.ParseNICs(d.NIC); return })
	read(func() (e error) { r.GPUs, r.GPUModel, e = core.ParseGPUs(d.GPUs); return })
	read(func() (e error) { r.Place, e = core.ParsePlacement(d.Place); return })
	return r, err
}

// readFile reads the file of a flag; "" is none. Who names an empty one meant another.
func readFile(flag, path, hint string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err == nil && len(bytes.TrimSpace(data)) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, &core.Error{Op: "read " + flag + " " + path, Kind: core.Invalid, Err: err, Hint: hint}
	}
	return data, nil
}
