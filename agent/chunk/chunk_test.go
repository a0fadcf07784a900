package chunk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/metalpool/metalpool/agent/aligned"
	"github.com/metalpool/metalpool/agent/chunk"
)

func TestUnpack(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("chunk"), 10_000)
	packed, digest := encoder.EncodeAll(text, nil), fmt.Sprintf("%x", sha256.Sum256(text))
	u, err := chunk.NewUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		packed []byte
		size   int
		digest string
		ok     bool
	}{
		{"whole", packed, len(text), digest, true},
		{"cut", packed[:len(packed)-1], len(text), digest, false},
		{"no zstd", text, len(text), digest, false},
		{"shorter than it says", packed, len(text) + 1, digest, false},
		{"longer than it says", packed, len(text) - 1, digest, false},
		{"another", packed, len(text), fmt.Sprintf("%x", sha256.Sum256(nil)), false},
		{"no digest", packed, len(text), "?", false},
		{"whole again", packed, len(text), digest, true},
	} {
		got, err := u.Unpack(c.packed, c.size, c.digest)
		switch {
		case c.ok && (err != nil || !bytes.Equal(got, text) || !aligned.Is(got, aligned.Page)):
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		case !c.ok && !errors.Is(err, chunk.ErrCorrupt):
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
	}
	plain, done, err := u.Stream(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if got, err := io.ReadAll(plain); err != nil || !bytes.Equal(got, text) {
		t.Errorf("streamed: %d bytes, %v", len(got), err)
	}
}
