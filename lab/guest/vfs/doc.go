// Package vfs is the file system of a simulated machine. It lives in memory and
// never touches the host.
//
// A tree has two layers: the files of the image, which all machines share and
// nobody changes, and the machine's own, which hide them. Every change is handed
// to a Journal, so that a machine finds its files again after a restart; what is
// below /tmp, /run and /dev is forgotten, as on a real one.
//
// Access goes through a View, which checks permissions as one user.
package vfs
