package disk

import "strings"

// isVirtualMedia reports whether a disk is one that a BMC makes up: never an owner's
// place for data, and perhaps our own boot media.
func isVirtualMedia(vendor, model string) bool {
	for _, volume := range []string{"Virtual Disk", "Virtual Drive"} {
		if hasPrefixFold(model, volume) {
			return false
		}
	}
	for _, m := range virtualMedia {
		if strings.EqualFold(vendor, m.vendor) && hasPrefixFold(model, m.model) {
			return true
		}
	}
	return false
}

// virtualMedia is how BMCs' disks announce themselves, by the beginning of vendor
// and model in SCSI's inquiry. All of them are USB devices on the servers that we
// know, and media for that alone; the names hold where a translation hides it. Not
// each was seen here: iDRAC's SECUPD is in a kernel log of
// github.com/kamermans/docker-openmanage, issue 4; the others follow the vendors'
// manuals and common reports. Leaving a disk alone because of its name would be worse
// than erasing media, so each needs its vendor, too; and what calls itself a virtual
// disk or drive is none, whoever made it: so do the volumes of RAID controllers (Dell's
// SAS 6/iR and PERC H200 have the vendor Dell), of VMware and of Hyper-V.
var virtualMedia = []struct{ vendor, model string }{
	{"AMI", "Virtual"},
	{"American", "Virtual"}, // American Megatrends
	{"ATEN", "Virtual"},
	{"Avocent", "Virtual"},
	{"Cisco", "Virtual"},
	{"CISCO", "CIMC"},
	{"Dell", "Virtual"},
	{"HP", "Virtual"},
	{"HPE", "Virtual"},
	{"HP iLO", ""},
	{"HPE iLO", ""},
	{"iLO", "Virtual"},
	{"iDRAC", ""}, // also LCDRIVE, SECUPD, OEMDRV
	{"IBM", "Virtual"},
	{"IMM", "Virtual"},
	{"Lenovo", "Virtual"},
	{"Linux", "Virtual"},
	{"OEM", "Virtual"},
	{"PEPPERC", "Virtual"},
	{"XCC", "Virtual"},
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
