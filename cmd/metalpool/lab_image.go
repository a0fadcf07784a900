package main

import (
	"context"
	"os"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/lab"
)

func labImageCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "image FILE",
		Short: "Write a small disk image that the rack's servers can boot",
		Long: `Image writes a disk image of a few MiB. A server of the lab that boots it takes its
host name, users and keys from the seed on the disk, like a real one with
cloud-init. Real images can be laid down on the lab's servers as well; what these
then show of themselves is simulated.`,
		Example: "  metalpool lab image lab.img\n  metalpool image add lab --source lab.img --user debian",
		Args:    exactly("FILE"),
		RunE: a.run(func(_ context.Context, args []string) error {
			// The image is the same each time: writing it anew loses nothing. Anything
			// else by that name is somebody's.
			if old, err := os.Stat(args[0]); err == nil && old.Size() != int64(lab.ImageSize) {
				return usagef("%s is there and is no lab image; choose another name, or remove it", args[0])
			}
			// Whole or not at all: half an image would be added without complaint.
			file, err := renameio.NewPendingFile(args[0], renameio.WithPermissions(0o644))
			if err != nil {
				return usagef("write the image: %w", err)
			}
			defer func() { _ = file.Cleanup() }() // nothing is left to clean once the file is in its place
			if err := lab.WriteImage(file); err != nil {
				return err
			}
			if err := file.CloseAtomicallyReplace(); err != nil {
				return err
			}
			a.note("wrote %s", args[0])
			return nil
		}),
	}
}
