package postgres

import (
	"errors"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// class is the one error class of err; nil when it has none.
func class(err error) error {
	for _, c := range []error{apply.ErrTransient, apply.ErrFenced, apply.ErrRejected, change.ErrRefused, change.ErrStandby} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}
