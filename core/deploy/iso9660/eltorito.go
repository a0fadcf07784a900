package iso9660

import "encoding/binary"

// El Torito is how firmware finds what to start on a CD: a descriptor points at a
// catalog, and the catalog at a disk image inside the file system.

const platformEFI = 0xEF

// bootRecord is the descriptor.
func bootRecord(catalog uint32) []byte {
	d := descriptor(typeBoot)
	copy(d[7:], "EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(d[71:], catalog)
	return d
}

// bootCatalog has one entry, for UEFI.
func bootCatalog(image placed) []byte {
	c := make([]byte, sector)
	c[0], c[1] = 1, platformEFI
	c[30], c[31] = 0x55, 0xAA
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(c[i:])
	}
	binary.LittleEndian.PutUint16(c[28:], -sum) // the 16 words add up to zero

	entry := c[32:]
	entry[0] = 0x88 // to be started; entry[1] 0 says that no floppy or disk is imitated
	// The length counts in 512 bytes; 0 says: to the end of the medium.
	if blocks := (image.Size + 511) / 512; blocks <= 0xFFFF {
		binary.LittleEndian.PutUint16(entry[6:], uint16(blocks))
	}
	binary.LittleEndian.PutUint32(entry[8:], image.sector)
	return c
}
