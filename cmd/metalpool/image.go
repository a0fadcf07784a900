package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
)

func imageCommand(a *app) *cobra.Command {
	return noun("image", "The catalogue of OS disk images",
		imageAddCommand(a), imageListCommand(a), imageRemoveCommand(a))
}

func imageAddCommand(a *app) *cobra.Command {
	var (
		image = core.Image{DeclaredBy: core.DeclaredOnCommandLine}
		over  bool
		o     outputFlag
	)
	cmd := &cobra.Command{
		Use:   "add NAME --source PATH|URL --user USER",
		Short: "Put an image into the catalogue",
		Long: `Add reads a disk image through, checks it, and records its SHA-256; every deploy
checks against that. The file stays where it is: machines are deployed from it.

Formats are raw and qcow2, each possibly compressed with gzip, xz or zstd. The
image needs cloud-init. Most of the cloud images that distributions publish fit.`,
		Example: `  metalpool image add debian --source debian-12-genericcloud-amd64.qcow2 --user debian
  metalpool image add debian --source https://images.example/debian.raw.zst --sha256 9f86… --user debian`,
		Args: exactly("NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			image.Name = args[0]
			if err := completeImage(&image); err != nil {
				return err
			}
			return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
				if over {
					if err := takeOverImage(ctx, e, image.Name); err != nil {
						return err
					}
				}
				return a.addImage(ctx, e, image, o)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&image.Source, "source", "", "the image: a `path` on this host (behind a server: below its --images), or an https URL")
	f.StringVar(&image.SHA256, "sha256", "", "what the file's SHA-256 must be (`hex`); needed with a URL")
	f.StringVar(&image.User, "user", "", "the image's login `user`, such as debian or ubuntu")
	f.StringVar(&image.Format, "format", "", "`format`: raw or qcow2, with .gz, .xz or .zst if compressed (default: found out)")
	f.StringVar(&image.Arch, "arch", "", "`architecture`: amd64 or arm64 (default amd64)")
	bootFlag(cmd, &image.Boot, "how the ramdisk hands over to it: kexec, or reboot through the firmware, as secure and measured boot want (`mode`; default kexec)")
	takeOverFlag(cmd, &over, "change")
	o.add(cmd)
	complete(cmd, "arch", "amd64", "arm64")
	complete(cmd, "format", "raw", "raw.gz", "raw.xz", "raw.zst", "qcow2", "qcow2.gz", "qcow2.xz", "qcow2.zst")
	return cmd
}

// takeOverImage has an image be the command line's from now on, if it is there.
func takeOverImage(ctx context.Context, e core.Operator, name string) error {
	_, err := e.Image(ctx, name)
	if core.Is(err, core.NotFound) {
		return nil
	}
	if err == nil {
		err = takeOver(ctx, e, core.Declaration{Images: []core.ImageDeclaration{{Name: name}}})
	}
	return err
}

func (a *app) addImage(ctx context.Context, e core.Operator, image core.Image, o outputFlag) error {
	var err error
	if image.Source, err = absolute(e, image.Source); err != nil {
		return err
	}
	p := a.progress()
	added, err := e.AddImage(ctx, image, func(done, total core.Bytes) {
		p.report(core.Progress{Node: core.NodeID(image.Name), Step: "read", Done: done, Total: total})
	})
	p.stop()
	if err != nil {
		return err
	}
	if o.json() {
		return a.printJSON(viewImage(added))
	}
	return a.imageTable([]core.Image{added})
}

// completeImage checks the flags of `image add`.
func completeImage(i *core.Image) error {
	switch {
	case i.Source == "":
		return usagef("which file? give --source PATH or --source https://…")
	case i.User == "":
		return usagef("who logs in? give the image's user with --user, such as --user debian")
	}
	arch, err := core.ParseArch(i.Arch)
	if err != nil {
		return asUsage(err)
	}
	i.Arch = either(arch == "", "amd64", arch)
	return nil
}

// absolute keeps a path as deploys need it, which run in other folders. To a server it is
// sent as it is: it names a file of that host, below the folder which it takes images from.
func absolute(e core.Operator, source string) (string, error) {
	if _, served := e.(*client.Client); served || strings.Contains(source, "://") {
		return source, nil
	}
	return filepath.Abs(source)
}

func imageListCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the catalogue",
		Example: "  metalpool image list",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			images, err := e.Images(ctx)
			if err != nil {
				return err
			}
			for i := range images {
				images[i] = viewImage(images[i])
			}
			if o.json() {
				return a.printJSON(list(images))
			}
			if len(images) == 0 {
				a.note("no images; add one with 'metalpool image add'")
				return nil
			}
			return a.imageTable(images)
		}),
	}
	o.add(cmd)
	return cmd
}

func (a *app) imageTable(images []core.Image) error {
	t := a.table("IMAGE", "FORMAT", "ARCH", "USER", "BOOT", "SIZE", "MIN DISK", "ADDED", "DECLARED BY", "SHA256", "SOURCE").
		sparing("DECLARED BY", "MIN DISK", "BOOT", "ADDED", "SHA256")
	now := time.Now()
	for _, i := range images {
		t.row(i.Name, i.Format, i.Arch, i.User, string(cmp.Or(i.Boot, core.Kexec)), sizeText(i.Size), sizeText(i.MinDisk), age(now, i.AddedAt), string(i.DeclaredBy.Name()), short(i.SHA256), publicURL(i.Source))
	}
	return t.print(a.out)
}

// short is enough of a digest to tell two apart by eye; JSON has all of it.
func short(digest string) string { return digest[:min(len(digest), 12)] }

func imageRemoveCommand(a *app) *cobra.Command {
	var takeOver bool
	cmd := &cobra.Command{
		Use:               "remove NAME",
		Aliases:           []string{"rm"},
		Short:             "Take an image out of the catalogue; the file stays",
		Example:           "  metalpool image remove debian",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.completeArgs(imageNames),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			if err := e.RemoveImage(ctx, args[0], core.DeclaredOnCommandLine, takeOver); err != nil {
				return err
			}
			a.note("image %s is removed; the file stays", args[0])
			return nil
		}),
	}
	takeOverFlag(cmd, &takeOver, "remove")
	return cmd
}
