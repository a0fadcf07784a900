//go:build !linux

package filedisk

import (
	"errors"
	"os"
)

func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

func dropCache(*os.File, int64, int64) error { return nil }
