// Package iso9660 writes and reads file systems of one folder: the boot media and
// cloud-init's seed.
//
// A general library builds such a thing from files below a work folder. Ours are
// in memory, and a seed's are secrets that must not be found on a disk after a
// crash. The same files give the same bytes, so that the boot media is one thing
// for every process that serves it.
package iso9660

// sector is the unit of addresses in ISO 9660, in bytes.
const sector = 2048

const (
	firstDescriptor = 16 // sectors before it belong to no one
	standardID      = "CD001"

	typeBoot       = 0
	typePrimary    = 1
	typeTerminator = 255

	// Where the primary descriptor has what we read back.
	volumeIDAt  = 40
	volumeIDLen = 32
	blockSizeAt = 128
	rootAt      = 156

	recordLen = 33 // of a directory record, before its name

	flagDirectory = 2
)
