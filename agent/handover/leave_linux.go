package handover

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// startKernel starts the one that was loaded, and returns only where neither that nor
// a restart is possible.
func (s *System) startKernel() error {
	log := s.log()
	if err := s.networkOff(); err != nil {
		log.Warn("a network port stays on while the OS takes over", "err", err)
	}
	err := restart(unix.LINUX_REBOOT_CMD_KEXEC)
	// Without ports nobody can be told: the firmware's boot entry is the second way.
	log.Warn("the kernel is not started by kexec, the machine restarts", "err", err)
	return errors.Join(err, restart(unix.LINUX_REBOOT_CMD_RESTART))
}

// restart returns only where it failed.
func restart(how int) error {
	unix.Sync()
	return unix.Reboot(how)
}

// networkOff lets nobody turn a port on again: programs go on while the kernel shuts
// its devices down, which takes some drivers seconds.
func (s *System) networkOff() error {
	if s.StopNetwork != nil {
		s.StopNetwork()
	}
	return portsOff()
}

// portsOff makes every network port forget where in memory it put what it received.
// A port that is on at kexec may wait with its rings as they were (e1000e does, for
// Wake-on-LAN), and writes the next packets there as soon as the next kernel lets it
// use memory, before that kernel's driver has reset it. What is there by then is lost:
// with e1000e and traffic, a descriptor's status and length were found in the place of
// a pointer after a few rounds, and the system died at its first use.
func portsOff() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the network ports: %w", err)
	}
	var errs []error
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagUp == 0 || a.Flags&net.FlagLoopback != 0 {
			continue
		}
		if err := netlink.LinkSetDown(l); err != nil {
			errs = append(errs, fmt.Errorf("turn %s off: %w", a.Name, err))
		}
	}
	return errors.Join(errs...)
}
