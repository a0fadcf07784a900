package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// file makes one below the folder of images, and returns its path.
func (r *rig) file(name string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("an image"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// An operator's token is for the pool, and not for the server's files.
func TestImagesComeFromTheirFolderAlone(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	ops := s.client(r.operator())
	inside := r.file("images/a.img")
	elsewhere := t.TempDir()
	outside := filepath.Join(elsewhere, "shadow")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"out": elsewhere, "file": outside, "in": filepath.Join(r.dir, "images"), "loop": filepath.Join(r.dir, "loop")} {
		if err := os.Symlink(to, filepath.Join(r.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	add := func(name, source string) (core.Image, error) {
		return ops.AddImage(t.Context(), core.Image{Name: name, Source: source, User: "root"}, nil)
	}
	for i, source := range []string{inside, "images/a.img", "./images/../images/a.img", "in/a.img", filepath.Join(r.dir, "in", "a.img")} {
		added, err := add("good-"+string(rune('a'+i)), source)
		named := source
		if source == inside {
			named = ""
		}
		if err != nil || added.Source != inside || added.Named != named {
			t.Errorf("%s: kept as %q, want %q, and called %q, want %q; %v", source, added.Source, inside, added.Named, named, err)
		}
	}
	for _, source := range []string{
		outside, "/etc/passwd", "/nosuch", "../" + filepath.Base(elsewhere) + "/shadow", "..", "images/../../x", filepath.Join(r.dir, "..", "x"), r.dir + "x/a.img",
		"out/shadow", "file", "loop", filepath.Join(r.dir, "out", "shadow"),
	} {
		added, err := add("bad", source)
		wantKind(t, source, err, core.Denied, "is not below "+r.dir, "server's own host")
		if added.Source != "" {
			t.Errorf("%s: added as %q", source, added.Source)
		}
	}
	_, err := add("bad", "images/nosuch.img")
	wantKind(t, "nothing", err, core.NotFound, "no file "+filepath.Join(r.dir, "images/nosuch.img"))
	_, err = add("bad", "")
	wantKind(t, "no name", err, core.Invalid, "no file is named")

	// What was added on the host is there for all, and may be added again as it is.
	if _, err := s.engine.AddImage(t.Context(), core.Image{Name: "hosts", Source: outside, User: "root"}, nil); err != nil {
		t.Fatal(err)
	}
	if again, err := ops.AddImage(t.Context(), core.Image{Name: "hosts", Source: outside, User: "admin"}, nil); err != nil || again.User != "admin" {
		t.Errorf("an image of the host: %+v, %v", again, err)
	}
	_, err = add("hosts", "/etc/passwd")
	wantKind(t, "another file under its name", err, core.Denied)
	if images, err := ops.Images(t.Context()); err != nil || len(images) != 7 {
		t.Errorf("there are %d images, %v", len(images), err)
	}
}

// Without a folder no file of the host is taken, whatever it is.
func TestNoImagesFromTheHostByDefault(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	w := ask(t, server.New(server.Config{Pool: e}), r.operator(), http.MethodPut, "/v1/images/a", `{"source":"`+r.file("a.img")+`"}`)
	if body := w.Body.String(); w.Code != http.StatusForbidden || !strings.Contains(body, "takes no files of its host") || !strings.Contains(body, "--images") {
		t.Errorf("%d %s", w.Code, body)
	}
}
