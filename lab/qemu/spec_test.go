package qemu

import (
	"slices"
	"strings"
	"testing"
)

var plain = Spec{
	Accel: TCG, CPUs: 2, Memory: 1024, UUID: "11111111-2222-4333-8444-555555555555", Serial: "LAB1", Manufacturer: "Dell, Inc.", Product: "R650", BIOSVersion: "1.0.0",
	Code: "/fw/code.fd", Vars: "/lab/a,b/vars.fd", CD: SCSI,
}

func TestArguments(t *testing.T) {
	forward := []Forward{{"127.0.0.9", 2222, 22}}
	for _, c := range []struct {
		name       string
		change     func(*Spec)
		has, hasNo []string
	}{
		{"identity", func(*Spec) {}, []string{
			"-uuid 11111111-2222-4333-8444-555555555555",
			"-smbios type=1,uuid=11111111-2222-4333-8444-555555555555,serial=LAB1,manufacturer=Dell,, Inc.,product=R650",
			"-S", "-no-reboot", "-accel tcg,thread=multi -cpu max", "-smp 2 -m 1024",
			`{"driver":"raw","file":{"driver":"file","filename":"/lab/a,b/vars.fd"},"node-name":"vars"}`,
			"-device scsi-cd,id=cd,bus=scsi.0,scsi-id=15",
		}, []string{"bootindex", "kvm"}},
		{"kvm", func(s *Spec) { s.Accel = KVM }, []string{"-accel kvm -cpu host"}, []string{"tcg"}},
		{"boot from media", func(s *Spec) { s.Boot = BootCD; s.Disks = []Disk{{Bus: NVMe, Serial: "A"}, {Bus: SATA, Serial: "B"}} }, []string{
			"-device scsi-cd,id=cd,bus=scsi.0,scsi-id=15,bootindex=0", "nvme,drive=disk0,serial=A,bootindex=1", "serial=B,bootindex=2",
		}, nil},
		{"a kernel", func(s *Spec) { s.Kernel = &Kernel{"/k,0", "/i", "quiet a=b"} }, []string{"-kernel /k,0 -initrd /i -append quiet a=b"}, nil},
		{"USB", func(s *Spec) { s.CD = USB; s.Boot = BootCD }, []string{"-device qemu-xhci,id=usb -device usb-bot,id=bot,bus=usb.0 -device scsi-cd,id=cd,bus=bot.0,bootindex=0"}, nil},
		{"disks", func(s *Spec) {
			s.Disks = []Disk{
				{Bus: NVMe, Path: "/d,0", Serial: "A", Model: "M", WWN: 5},
				{Bus: SATA, Path: "/d1", Serial: "B", Model: "M", WWN: 0x5000aabb},
				{Bus: SCSI, Path: "/d2", Serial: "C", Model: "M", Sector: 4096},
				{Bus: VirtIO, Path: "/d3", Serial: "D"},
			}
		}, []string{
			`-blockdev {"discard":"unmap","driver":"file","filename":"/d,0","node-name":"file0"} -blockdev {"detect-zeroes":"unmap","discard":"unmap","driver":"raw","file":"file0","node-name":"disk0"} -device nvme,drive=disk0,serial=A`,
			"-device ide-hd,bus=ide.1,rotation_rate=1,model=M,drive=disk1,serial=B,wwn=0x5000aabb",
			"-device scsi-hd,bus=scsi.0,scsi-id=2,rotation_rate=1,vendor=LAB,product=M,drive=disk2,serial=C,logical_block_size=4096,physical_block_size=4096",
			"-device virtio-blk-pci,drive=disk3,serial=D",
		}, []string{"serial=A,wwn", "eui64"}},
		{"network", func(s *Spec) { s.Ports = []Port{{"virtio-net-pci", "02:00:00:00:00:01", Answers, forward}} }, []string{
			"-netdev user,id=net0,hostfwd=tcp:127.0.0.9:2222-10.0.2.15:22 -device virtio-net-pci,id=nic0,netdev=net0,mac=02:00:00:00:00:01,romfile=",
		}, nil},
		{"network that moves", func(s *Spec) { s.Ports = []Port{{"e1000e", "02:00:00:00:00:01", Moved, forward}} },
			[]string{"-netdev user,id=net0,dhcpstart=10.0.2.30,hostfwd=tcp:127.0.0.9:2222-10.0.2.15:22"}, nil},
		{"network with nobody on it", func(s *Spec) {
			s.Ports = []Port{{"e1000e", "02:00:00:00:00:01", Silent, forward}, {"e1000e", "02:00:00:00:00:02", NoCable, nil}}
		}, []string{"-netdev hubport,id=net0,hubid=1", "-netdev hubport,id=net1,hubid=2"}, []string{"user,id", "hostfwd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := plain
			c.change(&s)
			got := strings.Join(s.arguments(), " ")
			for _, want := range c.has {
				if !strings.Contains(got, want) {
					t.Errorf("there is no %s in\n%s", want, got)
				}
			}
			for _, not := range c.hasNo {
				if strings.Contains(got, not) {
					t.Errorf("there is %s in\n%s", not, got)
				}
			}
		})
	}
}

// blkdebug runs rules as QEMU does: an error that an event made active stays so until
// it has struck, and the state moves on after it.
func blkdebug(inject, advance []map[string]any, writes int) string {
	state, verdicts := 1, ""
	for range writes {
		failed, next := false, state
		for _, r := range inject {
			failed = failed || r["state"] == state
		}
		for _, r := range advance {
			if r["state"] == state {
				next = r["new_state"].(int)
			}
		}
		state = next
		verdicts += map[bool]string{true: "x", false: "."}[failed]
	}
	return verdicts
}

func TestWriteRules(t *testing.T) {
	for _, c := range []struct {
		nth, count int
		want       string
	}{
		{1, 1, "x......."}, {1, 3, "xxx....."}, {3, 1, "..x....."}, {3, 2, "..xx...."}, {1, -1, "xxxxxxxx"}, {4, -1, "...xxxxx"},
	} {
		inject, advance := writeRules(c.nth, c.count)
		if got := blkdebug(inject, advance, 8); got != c.want {
			t.Errorf("from %d on, %d: %s; want %s", c.nth, c.count, got, c.want)
		}
		if forever := !slices.ContainsFunc(inject, func(r map[string]any) bool { return r["once"] == true }); forever != (c.count < 0) {
			t.Errorf("from %d on, %d: strikes for ever %t", c.nth, c.count, forever)
		}
	}
}
