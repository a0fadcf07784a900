// Package aligned makes memory that disks read from and write to without a copy in
// between: direct I/O wants buffers that begin where a page does.
package aligned

import "unsafe"

// Page is what Bytes aligns to, in bytes: no less than the sectors of any disk.
const Page = 4096

// Bytes returns n bytes that begin on a page. Growing them by append loses that.
func Bytes(n int) []byte {
	b := make([]byte, n+Page-1)
	at := (Page - at(b, Page)) % Page
	return b[at : at+n : at+n]
}

// Is reports whether b begins at a multiple of to bytes, which is a power of two.
func Is(b []byte, to int) bool { return at(b, to) == 0 }

func at(b []byte, to int) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(to-1))
}
