package apply

import (
	"errors"
	"fmt"
)

// Error classes. Engines know their error codes and wrap errors with one of
// these; the agent decides what follows, in one place.
var (
	// ErrTransient: try the same again after a pause: deadlock, lock or statement
	// timeout, serialization, connection, shutdown, resources.
	ErrTransient = errors.New("transient")
	// ErrRejected: the database refuses this data and will again: constraint, type,
	// encoding. The change is settled another way, parked, or stops the link.
	ErrRejected = errors.New("rejected")
	// ErrFenced: another agent has moved the checkpoint.
	ErrFenced = errors.New("fenced")
)

// ErrRulesDiffer says that the sites would not decide a conflict alike, so that nobody decides it.
var ErrRulesDiffer = errors.New("rules differ")

// SchemaError says that the target lacks what a change needs; it may come right by
// itself when someone alters the table. It is an ErrRejected.
type SchemaError struct {
	Table   string   // schema.name
	Column  string   // "" when the table itself is missing
	Missing []string // all columns that are missing; empty when the table is
	Detail  string   // for a person: what, and the remedy
}

func (e *SchemaError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("table %s: %s", e.Table, e.Detail)
	}
	return fmt.Sprintf("table %s, column %s: %s", e.Table, e.Column, e.Detail)
}

// Is makes a SchemaError an ErrRejected.
func (e *SchemaError) Is(target error) bool { return target == ErrRejected }
