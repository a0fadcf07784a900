package image_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"slices"
	"testing"
)

// encodeQcow2 writes a disk as QEMU does: clusters that are zero are left out, or
// said to be zero, and each third one is compressed.
func encodeQcow2(t testing.TB, disk []byte, version uint32, bits uint) []byte {
	t.Helper()
	cluster := 1 << bits
	perTable := cluster / 8
	clusters := (len(disk) + cluster - 1) / cluster
	tables := (clusters + perTable - 1) / perTable

	header := make([]byte, cluster)
	be := binary.BigEndian
	copy(header, "QFI\xfb")
	be.PutUint32(header[4:], version)
	be.PutUint32(header[20:], uint32(bits))
	be.PutUint64(header[24:], uint64(len(disk)))
	be.PutUint32(header[36:], uint32(tables))
	be.PutUint64(header[40:], uint64(cluster)) // the first table is the second cluster
	if version == 3 {
		be.PutUint32(header[96:], 4)
		be.PutUint32(header[100:], 104)
	}
	first := make([]byte, (tables*8+cluster-1)/cluster*cluster)
	file := slices.Concat(header, first)
	secondsAt := len(file)
	for i := range tables {
		be.PutUint64(file[cluster+8*i:], uint64(secondsAt+i*cluster)|1<<63)
	}
	file = append(file, make([]byte, tables*cluster)...)

	empty := make([]byte, cluster)
	for i := range clusters {
		data := make([]byte, cluster)
		copy(data, disk[i*cluster:])
		zero := bytes.Equal(data, empty)
		entry := uint64(0)
		switch {
		case !zero && i%3 == 2:
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, flate.BestSpeed)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(data) // into memory
			_ = w.Close()
			at := len(file)
			file = append(file, b.Bytes()...)
			sectors := (at+b.Len()-1)/512 - at/512
			entry = 1<<62 | uint64(sectors)<<(62-(bits-8)) | uint64(at)
		case !zero:
			file = append(file, make([]byte, (cluster-len(file)%cluster)%cluster)...)
			entry = uint64(len(file)) | 1<<63
			file = append(file, data...)
		case version == 3 && i%2 == 1:
			entry = 1 // says that it is zero
		}
		be.PutUint64(file[secondsAt+8*i:], entry)
	}
	return append(file, make([]byte, (512-len(file)%512)%512)...)
}
