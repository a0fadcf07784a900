package vfs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrFull is a Journal's answer when a change does not fit.
var ErrFull = errors.New("the journal is full")

// Journal keeps a tree's changes. A change is opaque bytes; each is applied whole
// or not at all.
type Journal interface {
	// Replay calls apply with every change kept, oldest first.
	Replay(apply func(change []byte) error) error
	// Append keeps one more; ErrFull where there is no room left.
	Append(change []byte) error
	// Rewrite replaces everything kept by one change; ErrFull where that does not
	// fit, and then what was kept before still is.
	Rewrite(change []byte) error
}

// inode is a file, directory, link or device. It is never changed once it is in a
// tree: a change puts another in its place, so readers need no lock.
type inode struct {
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid,omitempty"`
	GID  int         `json:"gid,omitempty"`
	Mod  time.Time   `json:"mod"`
	// Data is a file's content, a link's target or a device's name.
	Data []byte `json:"data,omitempty"`
	// Gone hides a file of the image.
	Gone bool `json:"gone,omitempty"`
}

// Tree is the files of one machine. It is safe for concurrent use.
type Tree struct {
	image   *Image
	journal Journal
	now     func() time.Time

	mu  sync.RWMutex
	own map[string]*inode // by clean absolute path
}

// New makes the tree of a machine that was installed from image, with the changes
// that the journal kept.
func New(image *Image, journal Journal, now func() time.Time) (*Tree, error) {
	t := &Tree{image: image, journal: journal, now: now, own: map[string]*inode{}}
	err := journal.Replay(func(change []byte) error {
		var nodes map[string]*inode
		if err := json.Unmarshal(change, &nodes); err != nil {
			return fmt.Errorf("read a change of the file system: %w", err)
		}
		maps.Copy(t.own, nodes)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// As is the tree as one user sees it. UID 0 may do everything.
func (t *Tree) As(uid, gid int) View { return View{t: t, uid: uid, gid: gid} }

// get returns what is at name, not following a link; nil if nothing is.
// The caller holds mu.
func (t *Tree) get(name string) *inode {
	if n, ok := t.own[name]; ok {
		if n.Gone {
			return nil
		}
		return n
	}
	return t.image.nodes[name]
}

// children lists the names directly below dir, sorted. The caller holds mu.
func (t *Tree) children(dir string) []string {
	seen := map[string]bool{}
	for _, name := range t.image.children[dir] {
		seen[name] = true
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	for name, n := range t.own {
		base, below := strings.CutPrefix(name, prefix)
		if !below || base == "" || strings.Contains(base, "/") {
			continue
		}
		if n.Gone {
			delete(seen, base)
		} else {
			seen[base] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// below lists everything under dir, parents first. The caller holds mu.
func (t *Tree) below(dir string) []string {
	var all []string
	for _, child := range t.children(dir) {
		name := path.Join(dir, child)
		all = append(all, name)
		if t.get(name).Mode.IsDir() {
			all = append(all, t.below(name)...)
		}
	}
	return all
}

// apply journals a change and makes it. A nil inode removes. The caller holds mu
// for writing.
func (t *Tree) apply(change map[string]*inode) error {
	kept := map[string]*inode{}
	for name, n := range change {
		if n == nil {
			n = &inode{Gone: true}
			change[name] = n
		}
		if !volatile(name) {
			kept[name] = n
		}
	}
	if len(kept) > 0 {
		if err := t.keep(kept); err != nil {
			return err
		}
	}
	for name, n := range change {
		if n.Gone && t.image.nodes[name] == nil {
			delete(t.own, name)
			continue
		}
		t.own[name] = n
	}
	return nil
}

// keep appends to the journal and, where that is full, starts it anew from the
// files that are there now.
func (t *Tree) keep(change map[string]*inode) error {
	text, err := json.Marshal(change)
	if err != nil {
		return err
	}
	err = t.journal.Append(text)
	if !errors.Is(err, ErrFull) {
		return errnoOf(err)
	}
	all := maps.Clone(t.own)
	maps.DeleteFunc(all, func(name string, _ *inode) bool { return volatile(name) })
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(name string, n *inode) bool { return n.Gone && t.image.nodes[name] == nil })
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	return errnoOf(t.journal.Rewrite(text))
}

// errnoOf turns a journal's failure into what a program would see of it.
func errnoOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFull):
		return syscall.ENOSPC
	}
	return syscall.EIO
}

// volatile reports whether name is on a file system that a restart empties.
func volatile(name string) bool {
	for _, root := range []string{"/tmp", "/run", "/dev"} {
		if strings.HasPrefix(name, root+"/") {
			return true
		}
	}
	return false
}

// Image is the files that an installed system starts with. It is made once and
// shared.
type Image struct {
	nodes    map[string]*inode
	children map[string][]string
}

// NewImage makes an image with nothing but a root directory. Files get the time at.
func NewImage(at time.Time) *Image {
	return &Image{
		nodes:    map[string]*inode{"/": {Mode: fs.ModeDir | 0o755, Mod: at}},
		children: map[string][]string{},
	}
}

// Add puts a file, directory (data nil), link (data is its target) or device (data
// is its name: null, zero or random) into the image, owned by root, with the
// directories above it. It must not be called once a Tree uses the image.
func (i *Image) Add(name string, mode fs.FileMode, data string) {
	name = path.Clean("/" + name)
	if dir := path.Dir(name); i.nodes[dir] == nil {
		i.Add(dir, fs.ModeDir|0o755, "")
	}
	if i.nodes[name] == nil {
		dir, base := path.Split(name)
		dir = cmp.Or(strings.TrimSuffix(dir, "/"), "/")
		i.children[dir] = append(i.children[dir], base)
	}
	i.nodes[name] = &inode{Mode: mode, Mod: i.nodes["/"].Mod, Data: []byte(data)}
}
