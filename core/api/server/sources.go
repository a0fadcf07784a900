package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// imageFolder is where operators may take images from; "" is nowhere. A token is for the
// pool, not for the server's host: an image could be any file there that the server can
// read, laid on a machine of whoever asks.
type imageFolder string

// source is where an image is, as the store keeps it. What stands in the catalogue was
// named by who may.
func (s *Server) source(ctx context.Context, name, asked string) (string, error) {
	if strings.Contains(asked, "://") {
		return asked, nil
	}
	if there, err := s.pool.Image(ctx, name); err == nil && there.Source == asked {
		return asked, nil
	}
	return s.images.find(name, asked)
}

// find is the absolute path of a file below the folder, with no link below that: where one
// leads later is nobody's promise.
func (f imageFolder) find(name, asked string) (string, error) {
	fail := func(kind core.Kind, hint, format string, args ...any) error {
		return &core.Error{Op: "add image " + name, Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	folder := string(f)
	switch {
	case asked == "":
		return "", fail(core.Invalid, "name a file or an https URL", "no file is named")
	case folder == "":
		return "", fail(core.Denied, "give an https URL; or have the server started with --images FOLDER, or the image added on its own host",
			"%s is a path, and this server takes no files of its host", asked)
	}
	outside := func() error {
		return fail(core.Denied, "put it there; or have it added on the server's own host", "%s is not below %s, from where this server takes images", asked, folder)
	}
	path := asked
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	// By its name first: whether other files are there is not told.
	if inside, err := filepath.Rel(folder, filepath.Clean(path)); err != nil || !filepath.IsLocal(inside) {
		return "", outside()
	}
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return "", fail(core.Internal, "tell who runs the server", "the folder that it takes images from is away")
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fail(core.NotFound, "it is a path of the server's host", "no file %s", path)
	}
	if err != nil {
		return "", outside()
	}
	inside, err := filepath.Rel(real, target)
	if err != nil || !filepath.IsLocal(inside) {
		return "", outside()
	}
	return filepath.Join(folder, inside), nil
}
