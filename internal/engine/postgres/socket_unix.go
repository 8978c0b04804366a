//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// setLowWater sets how many bytes must have come before a reader is woken. Lowering
// it wakes one for what is there already.
func setLowWater(raw syscall.RawConn, n int) error {
	var set error
	err := raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n) })
	if err == nil {
		err = os.NewSyscallError("setsockopt", set)
	}
	if err != nil {
		return fmt.Errorf("preparing the connection for large reads: %w", err)
	}
	return nil
}

// readNow reads what has come, without waiting: 0 and no error when nothing has.
func readNow(raw syscall.RawConn, p []byte) (n int, err error) {
	var got error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, got = syscall.Read(int(fd), p)
			if !errors.Is(got, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, err // the deadline has passed, or the connection was closed
	case errors.Is(got, syscall.EAGAIN):
		return 0, nil
	case got != nil:
		return 0, os.NewSyscallError("read", got)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}
