package disk

import "fmt"

// step is one access of a transfer: whole sectors, or a part of one.
type step struct {
	off  int64 // on the disk
	n    int   // bytes
	part bool  // less than a sector
}

// nextStep is what to transfer first of n bytes at off: a part up to the next
// sector's begin, else as many whole sectors as there are, at most limit bytes, else
// the part that is left.
func nextStep(off int64, n, sector, limit int) step {
	in := int(off % int64(sector))
	switch whole := n / sector * sector; {
	case in != 0:
		return step{off, min(n, sector-in), true}
	case whole == 0:
		return step{off, n, true}
	default:
		return step{off, min(whole, max(sector, limit/sector*sector)), false}
	}
}

// within refuses what lies outside of a disk of that size.
func within(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("%d bytes at %d are past the end of a disk of %d", n, off, size)
	}
	return nil
}
