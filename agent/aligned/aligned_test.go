package aligned

import "testing"

func TestBytes(t *testing.T) {
	for _, n := range []int{0, 1, 512, 4095, 4096, 4097, 1 << 20} {
		b := Bytes(n)
		if len(b) != n || cap(b) != n {
			t.Errorf("%d bytes are %d, with room for %d", n, len(b), cap(b))
		}
		if n == 0 {
			continue
		}
		if !Is(b, Page) || !Is(b, 512) {
			t.Errorf("%d bytes do not begin on a page", n)
		}
		if n > 1 && Is(b[1:], 2) {
			t.Errorf("%d bytes from the second on seem aligned", n)
		}
	}
}
