package deploy

import (
	"bytes"
	"sync"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
)

// bootISO is the one ISO of this process; all boots get media of it.
var bootISO = sync.OnceValues(func() (*bootmedia.ISO, error) {
	var iso bytes.Buffer
	if err := bootmedia.Write(&iso, bootmedia.Contents{}); err != nil {
		return nil, err
	}
	return bootmedia.Open(bytes.NewReader(iso.Bytes()), int64(iso.Len()))
})

// bootMedia puts a parameter area into the boot media.
func (d *Deployer) bootMedia(area []byte) (*bootmedia.Media, error) {
	iso, err := bootISO()
	if err != nil {
		return nil, err
	}
	return iso.Media(area)
}
