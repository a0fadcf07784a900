package postgres

import "testing"

func TestDecided(t *testing.T) {
	const wrap = 1 << 32
	for _, c := range []struct {
		drawn     int64
		undecided []int64
		want      int64
	}{
		{7, nil, 7},
		{7, []int64{7}, 7},
		{7, []int64{6, 3, 5}, 3},
		{wrap + 2, []int64{1}, wrap + 1},
		{wrap + 2, []int64{wrap - 1}, wrap - 1},
		{3*wrap + 2, []int64{0, wrap - 4}, 3*wrap - 4},
	} {
		if got := decided(c.drawn, c.undecided); got != c.want {
			t.Errorf("%d drawn, %v undecided: decided up to %d, want %d", c.drawn, c.undecided, got, c.want)
		}
	}
}
