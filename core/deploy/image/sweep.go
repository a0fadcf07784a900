package image

import (
	"os"
	"path/filepath"
	"time"
)

// keepFor is how long a pack is kept that nobody opens: images are taken out of the
// catalogue without the library being told, and new versions follow old ones.
const keepFor = 30 * 24 * time.Hour

// touch notes that a pack was opened.
func (p *pack) touch(now time.Time) {
	_ = os.Chtimes(filepath.Join(p.dir, indexName), now, now) // at worst it is made anew one day
}

// sweep removes packs and memos that were not used for long. Whoever still needs one
// makes it anew.
func (l *Library) sweep(now time.Time) {
	old := func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && now.Sub(info.ModTime()) > keepFor
	}
	packs, _ := filepath.Glob(filepath.Join(l.dir, packsDir, "*", indexName))
	for _, index := range packs {
		if old(index) {
			_ = os.RemoveAll(filepath.Dir(index)) // else next time
		}
	}
	memos, _ := filepath.Glob(filepath.Join(l.dir, sourcesDir, "*"))
	for _, memo := range memos {
		if old(memo) {
			_ = os.Remove(memo) // else next time
		}
	}
}
