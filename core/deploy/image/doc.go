// Package image turns the files that OS images come in into chunks that agents can
// fetch.
//
// A Library examines a file once, whatever its format, and keeps what an agent
// needs of it under the SHA-256 of the file: the list of its chunks, and a pack
// with those that are not all zero, compressed. A deploy then only sends pieces of
// the pack. What is kept can be lost or damaged at any time: it is noticed, and
// made anew from the file.
//
//	format.go    what a file is, by its first bytes
//	content.go   the disk in it: raw.go, stream.go, qcow2.go
//	table.go     the partition table that it must have
//	chunks.go    disk to pack, on all processors
//	pack.go      the pack on disk
//	source.go    the file: hashed, remembered, fetch.go: downloaded
//	library.go   all of it together, prepare.go: the first time, serve.go: for agents
//	sweep.go     what is not used any more
package image
