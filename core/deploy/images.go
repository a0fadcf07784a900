package deploy

import (
	"context"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
	"github.com/metalpool/metalpool/core/deploy/seed"
)

// Examine implements core.Deployer.
func (d *Deployer) Examine(ctx context.Context, i core.Image, progress func(done, total core.Bytes)) (core.Image, error) {
	return d.images.Examine(ctx, i, progress)
}

// FindImage implements core.ImageFinder.
func (d *Deployer) FindImage(i core.Image) error { return d.images.Find(i) }

// RenderSeed implements core.Deployer.
func (d *Deployer) RenderSeed(s core.Seed) ([]byte, error) { return seed.Render(s) }

// OpenImage implements core.Deployer. The chunks are served until Close, each image
// that is open under a path of its own.
func (d *Deployer) OpenImage(ctx context.Context, i core.Image) (core.ImageSource, error) {
	opened, err := d.images.Open(ctx, i)
	if err != nil {
		return nil, err
	}
	port, path, unmount, err := d.serve(ctx, opened, time.Time{})
	if err != nil {
		opened.Close()
		return nil, err
	}
	return &servedImage{Opened: opened, port: port, path: path, unmount: unmount}, nil
}

// servedImage is an image whose chunks agents can fetch.
type servedImage struct {
	*image.Opened
	port    int
	path    string
	unmount func()
}

// Manifest implements core.ImageSource.
func (s *servedImage) Manifest() core.Manifest {
	m := s.Opened.Manifest()
	m.Port, m.Path = s.port, s.path
	return m
}

// Close implements core.ImageSource.
func (s *servedImage) Close() error {
	s.unmount()
	return s.Opened.Close()
}
