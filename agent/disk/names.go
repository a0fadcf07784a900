package disk

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// nameDisk finds the serial, the WWN and the model, as far as possible in the words
// of the label that a BMC reads out too.
func (f *facts) nameDisk(dir string) {
	f.info.Model = text(dir, "device/model")
	switch f.transport {
	case nvme:
		f.info.Serial = text(dir, "device/serial")
		f.info.WWN = nvmeWWN(dir)
		f.namespace = int(number(dir, "nsid"))
		if nqn := text(dir, "device/subsysnqn"); nqn != "" {
			f.subsystem = nqn
		} else {
			f.subsystem = filepath.Base(filepath.Dir(dir))
		}
	case virtio:
		f.info.Serial = text(dir, "serial")
	case mmc:
		f.info.Serial, f.info.Model = text(dir, "device/serial"), text(dir, "device/name")
	case ata, scsi, usb, other:
		vendor := text(dir, "device/vendor")
		f.info.Serial = scsiSerial(vendor, page(dir, "device/vpd_pg80"))
		if f.info.WWN = designated(page(dir, "device/vpd_pg83")); f.info.WWN == "" {
			f.info.WWN = wwnOf(text(dir, "device/wwid"))
		}
		if vendor != "" && f.transport != ata { // with ATA that is no vendor
			f.info.Model = strings.TrimSpace(vendor + " " + f.info.Model)
		}
	}
}

// nvmeWWN prefers what a namespace was given in the factory. wwid repeats it, or is
// made up of the serial and says nothing more.
func nvmeWWN(dir string) string {
	for _, name := range []string{"eui", "nguid", "wwid"} {
		if name := wwnOf(text(dir, name)); name != "" {
			return name
		}
	}
	return ""
}

// wwnOf is the name in the store's spelling, "" where it is none.
func wwnOf(name string) string {
	wwn := core.WWN(name)
	if len(wwn) != 16 && len(wwn) != 32 || strings.Trim(wwn, "0123456789abcdef") != "" {
		return ""
	}
	return wwn
}

// maxPage bounds a VPD page: its length has 16 bits.
const maxPage = 4 + 1<<16

func page(dir, name string) []byte {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || len(b) > maxPage {
		return nil
	}
	return b
}

// payload is what a VPD page holds behind its header: what there is of
// the length that it claims.
func payload(page []byte, code byte) []byte {
	const header = 4
	if len(page) < header || page[1] != code {
		return nil
	}
	claimed := int(binary.BigEndian.Uint16(page[2:]))
	return page[header:min(len(page), header+claimed)]
}

// scsiSerial is the unit serial number of page 80h. Seagate's SAS drives answer with
// 20 characters, of which the label, and so a BMC, has the first eight.
func scsiSerial(vendor string, page []byte) string {
	serial := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(payload(page, 0x80)))
	serial = strings.TrimSpace(serial)
	const label, zeros, all = 8, "0000", 20
	if vendor == "SEAGATE" && len(serial) == all && strings.HasPrefix(serial[label:], zeros) {
		return serial[:label]
	}
	return serial
}

// designated is the logical unit's own NAA, else its EUI, from page 83h. Names of
// ports and of the target are others'.
func designated(page []byte) string {
	const eui, naa = 2, 3
	var best string
	for rest := payload(page, 0x83); len(rest) >= 4; {
		length := int(rest[3])
		if len(rest) < 4+length {
			break
		}
		binary, ofUnit, kind := rest[0]&0x0f == 1, rest[1]&0x30 == 0, rest[1]&0x0f
		name := rest[4 : 4+length]
		rest = rest[4+length:]
		if !binary || !ofUnit || kind != eui && kind != naa {
			continue
		}
		if wwn := wwnOf(hex.EncodeToString(name)); wwn != "" && (best == "" || kind == naa) {
			best = wwn
		}
		if kind == naa && best != "" {
			break
		}
	}
	return best
}
