package lab

import (
	"encoding/binary"
	"strings"
)

// FAT16, with clusters of four sectors and room for 512 entries in the root folder.
const (
	fatCluster = 4 // sectors
	fatTables  = 2
	fatRoot    = 32 // sectors
	fatSectors = (espSectors/fatCluster*2 + imageSector - 1) / imageSector
	fatDataAt  = (1 + fatTables*fatSectors + fatRoot) * imageSector
)

// newESP makes an EFI system partition with one file, the loader that firmware starts
// by default. go-diskfs makes file systems too, but puts the time of day into them,
// and an image that differs each time it is written is another image to a pool.
func newESP(loader []byte) []byte {
	disk := make([]byte, espSectors*imageSector)
	boot := disk[:imageSector]
	copy(boot, "\xeb\x3c\x90METALLAB")
	le := binary.LittleEndian
	le.PutUint16(boot[11:], imageSector)
	boot[13] = fatCluster
	le.PutUint16(boot[14:], 1) // sectors before the tables
	boot[16] = fatTables
	le.PutUint16(boot[17:], fatRoot*imageSector/32)
	le.PutUint16(boot[19:], espSectors)
	boot[21] = 0xf8
	le.PutUint16(boot[22:], fatSectors)
	le.PutUint16(boot[24:], 63)
	le.PutUint16(boot[26:], 255)
	le.PutUint32(boot[28:], espStart)
	copy(boot[36:], "\x80\x00\x29LAB1"+"ESP        "+"FAT16   ")
	boot[510], boot[511] = 0x55, 0xaa

	const folderEFI, folderBoot, loaderAt = 2, 3, 4 // clusters
	clusters := (len(loader) + fatCluster*imageSector - 1) / (fatCluster * imageSector)
	table := disk[imageSector:]
	for n, next := range []uint16{0xfff8, 0xffff, 0xffff, 0xffff} {
		le.PutUint16(table[2*n:], next)
	}
	for n := range clusters {
		next := uint16(loaderAt + n + 1)
		if n == clusters-1 {
			next = 0xffff
		}
		le.PutUint16(table[2*(loaderAt+n):], next)
	}
	copy(disk[(1+fatSectors)*imageSector:], table[:fatSectors*imageSector])

	at := func(cluster int) []byte { return disk[fatDataAt+(cluster-2)*fatCluster*imageSector:] }
	root := disk[(1+fatTables*fatSectors)*imageSector:]
	fatEntry(root, "ESP", "", 0x08, 0, 0)
	fatEntry(root[32:], "EFI", "", 0x10, folderEFI, 0)
	fatEntry(at(folderEFI), ".", "", 0x10, folderEFI, 0)
	fatEntry(at(folderEFI)[32:], "..", "", 0x10, 0, 0)
	fatEntry(at(folderEFI)[64:], "BOOT", "", 0x10, folderBoot, 0)
	fatEntry(at(folderBoot), ".", "", 0x10, folderBoot, 0)
	fatEntry(at(folderBoot)[32:], "..", "", 0x10, folderEFI, 0)
	fatEntry(at(folderBoot)[64:], "BOOTX64", "EFI", 0x20, loaderAt, len(loader))
	copy(at(loaderAt), loader)
	return disk
}

func fatEntry(e []byte, name, extension string, attributes byte, cluster uint16, size int) {
	copy(e, name+strings.Repeat(" ", 8-len(name))+extension+strings.Repeat(" ", 3-len(extension)))
	e[11] = attributes
	const newYear1980 = 0x21 // the first day that FAT knows
	for _, date := range []int{16, 18, 24} {
		binary.LittleEndian.PutUint16(e[date:], newYear1980)
	}
	binary.LittleEndian.PutUint16(e[26:], cluster)
	binary.LittleEndian.PutUint32(e[28:], uint32(size))
}
