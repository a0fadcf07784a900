package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
)

// vmFlags say what new virtual machines of a lab are like.
type vmFlags struct {
	on     bool
	memory string
	cpus   int
	disks  []string
	cd     string
	accel  string

	flags *pflag.FlagSet
}

func (v *vmFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	v.flags = f
	f.BoolVar(&v.on, "vm", false, "new servers are virtual machines, not simulated; a lab's folder holds one kind")
	f.StringVar(&v.memory, "memory", "", "of new virtual machines: `size` such as 1GiB (default 2GiB)")
	f.IntVar(&v.cpus, "cpus", 0, "of new virtual machines: `number` of processors (default 2)")
	f.StringArrayVar(&v.disks, "disk", nil, "of new virtual machines: a `disk` as BUS:SIZE[:SECTOR], of nvme, sata, virtio or scsi; may be repeated (default: each server has others)")
	f.StringVar(&v.cd, "cd", "", "of new virtual machines: the `bus` of the virtual media's drive, scsi or usb (default: in turn)")
	f.StringVar(&v.accel, "accel", "", "of virtual machines: what `runs` their processors, kvm or tcg (default: kvm where it works)")
	complete(cmd, "cd", string(qemu.SCSI), string(qemu.USB))
	complete(cmd, "accel", string(qemu.KVM), string(qemu.TCG))
}

// config is nil where the servers are to be what the lab's folder has.
func (v *vmFlags) config() (*lab.VM, error) {
	if !v.on {
		for _, name := range []string{"memory", "cpus", "disk", "cd", "accel"} {
			if v.flags.Changed(name) {
				return nil, usagef("--%s is for virtual machines; add --vm", name)
			}
		}
		return nil, nil
	}
	c := &lab.VM{CPUs: v.cpus, CD: qemu.Bus(v.cd), Accel: qemu.Accel(v.accel)}
	var errs []error
	if v.memory != "" {
		var err error
		c.Memory, err = core.ParseBytes(v.memory)
		errs = append(errs, err)
	}
	for _, text := range v.disks {
		d, err := lab.ParseVMDisk(text)
		c.Disks = append(c.Disks, d)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}
