package change

import "errors"

// The states that stop a site or a link for a person, because going on would
// guess. Engines, streams and agents wrap them with what happened and the remedy.
var (
	// ErrNeedsCopy: a stream or log that should be continuous is not: purged,
	// replaced, restored, recreated, or of another epoch.
	ErrNeedsCopy = errors.New("needs_copy")
	// ErrStandby: another agent of the same site does this work now.
	ErrStandby = errors.New("standby")
	// ErrStreamFull: the stream has reached its size limit; nothing is lost, the
	// source's log holds the rest.
	ErrStreamFull = errors.New("stream_full")
	// ErrClock: a clock is too far ahead of the other sites.
	ErrClock = errors.New("clock_drift")
	// ErrRefused: something must be put right by a person first: a setting, a
	// right, a table without a usable key.
	ErrRefused = errors.New("refused")
)
