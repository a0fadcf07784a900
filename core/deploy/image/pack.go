package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
)

// pack is what is kept of an image: a folder of this index and the file it names.
type pack struct {
	Version   int        `json:"version"`
	Source    string     `json:"source"` // SHA-256 of the file
	Format    string     `json:"format"`
	Size      core.Bytes `json:"size"` // of the disk
	ChunkSize int64      `json:"chunk_size"`
	Chunks    []chunk    `json:"chunks"`
	// File has the chunks, one behind the other. Its name is new for each pack, so
	// that no index is read with another's file.
	File   string `json:"file"`
	Length int64  `json:"length"`

	dir string
}

const (
	packVersion = 1
	indexName   = "index"
)

// errNoPack is a pack that is not there, or not as it was made.
var errNoPack = errors.New("no whole pack is kept")

// create makes a pack's file in a folder.
func (p *pack) create(dir string) (*os.File, error) {
	p.dir, p.File = dir, "chunks-"+rand.Text()
	return os.Create(p.path())
}

func (p *pack) path() string { return filepath.Join(p.dir, p.File) }

// save writes the index beside the file, which is written. It is on the disk when
// save returns.
func (p *pack) save() error {
	p.Version, p.ChunkSize, p.Length = packVersion, chunkSize, 0
	for _, c := range p.Chunks {
		p.Length += c.Length
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	index, err := os.Create(filepath.Join(p.dir, indexName))
	if err != nil {
		return err
	}
	defer func() { _ = index.Close() }()
	if _, err := fmt.Fprintf(index, "%x\n%s", sum, text); err != nil {
		return err
	}
	if err := index.Sync(); err != nil {
		return err
	}
	return syncDir(p.dir)
}

// load reads a pack's index. Whatever is wrong with it is errNoPack.
func load(dir, source string) (*pack, error) {
	text, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPack, err)
	}
	sum, text, _ := bytes.Cut(text, []byte("\n"))
	if want := sha256.Sum256(text); string(sum) != hex.EncodeToString(want[:]) {
		return nil, fmt.Errorf("%w: its index is damaged", errNoPack)
	}
	p := &pack{dir: dir}
	if err := json.Unmarshal(text, p); err != nil || p.Version != packVersion || p.ChunkSize != chunkSize || p.Source != source {
		return nil, fmt.Errorf("%w: its index is of another version", errNoPack)
	}
	return p, nil
}

// verify reads the pack's file and compares it with the index.
func (p *pack) verify(ctx context.Context) error {
	f, err := os.Open(p.path())
	if err != nil {
		return fmt.Errorf("%w: %w", errNoPack, err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || info.Size() != p.Length {
		return fmt.Errorf("%w: its file has another size", errNoPack)
	}
	r := bufio.NewReaderSize(f, 256<<10)
	for i, c := range p.Chunks {
		if c.Sum == "" {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		crc := crc32.New(castagnoli)
		if _, err := io.CopyN(crc, r, c.Length); err != nil || crc.Sum32() != c.CRC {
			return fmt.Errorf("%w: chunk %d is damaged", errNoPack, i)
		}
	}
	return nil
}

// syncDir makes the names in a folder outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
