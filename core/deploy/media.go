package deploy

import (
	"bytes"
	"context"
	"io"
)

// media is a boot ISO as one node gets it.
type media struct {
	content io.ReaderAt
	size    int64 // in bytes
}

func (m media) reader() io.ReadSeeker { return io.NewSectionReader(m.content, 0, m.size) }

// bootMedia puts a parameter area into the boot media.
func (d *Deployer) bootMedia(_ context.Context, area []byte) (media, error) {
	return media{bytes.NewReader(area), int64(len(area))}, nil
}
