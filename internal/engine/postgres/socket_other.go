//go:build !unix

package postgres

import (
	"errors"
	"syscall"
)

// setLowWater cannot be done here: large reads only wait a moment.
func setLowWater(syscall.RawConn, int) error { return errors.ErrUnsupported }

// readNow is never called where setLowWater fails.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
