package main

import (
	"slices"
	"strings"

	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// Which of the kernel's modules the ramdisk has: the paths begin so, below
// kernel/. What they need comes along.
var wanted = []string{
	// Disks inside the server, and its drives for media.
	"drivers/ata/",
	"drivers/nvme/host/nvme.ko",
	"drivers/pci/controller/vmd.ko", // Intel's RAID on the processor hides NVMe behind it
	"drivers/message/fusion/mptsas.ko", "drivers/message/fusion/mptspi.ko",
	"drivers/scsi/3w-", "drivers/scsi/aacraid/", "drivers/scsi/aic7xxx/", "drivers/scsi/aic94xx/", "drivers/scsi/am53c974.ko",
	"drivers/scsi/arcmsr/", "drivers/scsi/esas2r/", "drivers/scsi/hpsa.ko", "drivers/scsi/hptiop.ko", "drivers/scsi/hv_storvsc.ko",
	"drivers/scsi/isci/", "drivers/scsi/megaraid/", "drivers/scsi/megaraid.ko", "drivers/scsi/mpi3mr/", "drivers/scsi/mpt3sas/",
	"drivers/scsi/mvsas/", "drivers/scsi/mvumi.ko", "drivers/scsi/pm8001/", "drivers/scsi/pmcraid.ko", "drivers/scsi/sd_mod.ko",
	"drivers/scsi/ses.ko", "drivers/scsi/sg.ko", "drivers/scsi/smartpqi/", "drivers/scsi/sr_mod.ko", "drivers/scsi/stex.ko",
	"drivers/scsi/sym53c8xx_2/", "drivers/scsi/virtio_scsi.ko", "drivers/scsi/vmw_pvscsi.ko", "drivers/scsi/xen-scsifront.ko",
	"drivers/block/virtio_blk.ko", "drivers/block/xen-blkfront.ko", "drivers/block/loop.ko",
	"drivers/mmc/core/mmc_block.ko", "drivers/mmc/host/sdhci-pci.ko", "drivers/mmc/host/sdhci-acpi.ko",
	"drivers/usb/host/", "drivers/usb/storage/", // a BMC's virtual media is a CD-ROM drive on USB

	// File systems, and what lies between them and the disks.
	"drivers/md/dm-mod.ko", "drivers/md/dm-crypt.ko", "drivers/md/dm-mirror.ko", "drivers/md/dm-raid.ko", "drivers/md/dm-snapshot.ko",
	"drivers/md/dm-thin-pool.ko", "drivers/md/linear.ko", "drivers/md/raid",
	"fs/btrfs/", "fs/efivarfs/", "fs/ext4/", "fs/fat/", "fs/isofs/", "fs/xfs/",
	"fs/nls/nls_ascii.ko", "fs/nls/nls_cp437.ko", "fs/nls/nls_iso8859-1.ko", "fs/nls/nls_utf8.ko",
	"drivers/firmware/efi/efi-pstore.ko", "fs/pstore/ramoops.ko",
	"crypto/crc32c_generic.ko", "crypto/crc32_generic.ko", "arch/x86/crypto/crc32c-intel.ko",
	"crypto/xxhash_generic.ko", "crypto/blake2b_generic.ko",

	// The network.
	"drivers/net/ethernet/", "drivers/net/phy/", "drivers/net/mdio/",
	"drivers/net/bonding/", "drivers/net/hyperv/", "drivers/net/virtio_net.ko", "drivers/net/vmxnet3/", "drivers/net/xen-netfront.ko",
	"drivers/net/fjes/", "drivers/net/usb/r8152.ko", "drivers/net/usb/ax88179_178a.ko",
	"net/8021q/", "net/packet/",

	// The board, and hypervisors.
	"drivers/char/ipmi/ipmi_si.ko", "drivers/char/ipmi/ipmi_ssif.ko", "drivers/char/ipmi/ipmi_devintf.ko",
	"drivers/char/tpm/", "drivers/char/hw_random/virtio-rng.ko",
	"drivers/virtio/", "drivers/hv/", "drivers/firmware/qemu_fw_cfg.ko",
	"drivers/watchdog/iTCO_wdt.ko", "drivers/watchdog/sp5100_tco.ko", "drivers/watchdog/i6300esb.ko", "drivers/watchdog/hpwdt.ko",
}

// unwanted are left out of the above. A disk that is reached through a network, as
// Fibre Channel and iSCSI are, is not the server's own: an erase must not see it.
var unwanted = []string{
	"drivers/net/ethernet/mellanox/mlxsw/", // switches
	"drivers/usb/host/sl811", "drivers/usb/host/r8a66597", "drivers/usb/host/u132", "drivers/usb/host/isp116x", "drivers/usb/host/oxu210hp",
	"drivers/virtio/virtio_mem.ko", "drivers/virtio/virtio_balloon.ko",
	"drivers/char/tpm/st33zp24/",
}

func isWanted(m kmod.Module) bool {
	_, path, _ := strings.Cut(m.Path, "/kernel/")
	begins := func(prefix string) bool { return strings.HasPrefix(path, prefix) }
	return slices.ContainsFunc(wanted, begins) && !slices.ContainsFunc(unwanted, begins)
}

// unmatched are the wishes that no module fulfils: a later kernel may have another
// name for it.
func unmatched(index *kmod.Index) []string {
	var none []string
	for _, prefix := range wanted {
		if !slices.ContainsFunc(index.Modules(), func(m kmod.Module) bool { return strings.Contains(m.Path, "/kernel/"+prefix) }) {
			none = append(none, prefix)
		}
	}
	return none
}

// firmwarePackages have what the drivers above ask for.
var firmwarePackages = []string{
	"firmware-bnx2", "firmware-bnx2x", "firmware-cavium", "firmware-linux-free", "firmware-misc-nonfree",
	"firmware-myricom", "firmware-netronome", "firmware-netxen", "firmware-qlogic", "firmware-realtek",
}
