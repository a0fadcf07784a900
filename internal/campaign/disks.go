package campaign

import (
	"errors"
	"io"
	"os"
	"regexp"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
)

// mark is what the deploy of a machine writes to its disk: in its user data, and so a
// secret as well.
func mark(id string, revision int) string {
	return "campaign-mark-" + id + "-" + string(rune('a'+revision%26))
}

var marks = regexp.MustCompile(`campaign-mark-([A-Za-z0-9]+)-[a-z]`)

// marksOn lists whose marks are on disks: the IDs of machines.
func marksOn(disks []core.Disk) (ids []string, err error) {
	seen := map[string]bool{}
	for _, d := range disks {
		if err := eachPiece(d.Path, func(piece []byte) {
			for _, found := range marks.FindAllSubmatch(piece, -1) {
				if id := string(found[1]); !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// eachPiece reads what a sparse file holds. Pieces overlap, so that no mark is cut in two.
func eachPiece(path string, look func(piece []byte)) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a disk that nothing was ever written to
	}
	if err != nil {
		return err
	}
	defer f.Close()
	const size, overlap = 1 << 20, 128
	buffer := make([]byte, size)
	for at := int64(0); ; {
		at, err = f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := f.ReadAt(buffer, max(0, at-overlap))
		if n > 0 {
			look(buffer[:n])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at = max(0, at-overlap) + int64(n)
	}
}

// unclean looks whether a disk holds what it must not: the mark of another machine than
// the one that has the node, and any mark where nobody has it. user is that machine's ID.
func unclean(node, user string, ids []string) (found []string) {
	for _, id := range ids {
		if id != user {
			found = append(found, node+" is free or another's, and has the mark of "+id+" on its disk")
		}
	}
	return found
}
