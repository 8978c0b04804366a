package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

// targetError is what the database said, with its class. Its text names tables,
// columns and constraints; Detail may quote values of rows.
type targetError struct {
	class error // apply.ErrTransient, apply.ErrRejected, apply.ErrFenced or change.ErrRefused
	doing string
	cause error
	hint  string // the remedy, when a person must put something right
}

func (e *targetError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s", e.class, e.doing, e.cause)
	var pe *pgconn.PgError
	if errors.As(e.cause, &pe) {
		var where []string
		if pe.TableName != "" {
			where = append(where, "table "+pe.SchemaName+"."+pe.TableName)
		}
		if pe.ColumnName != "" {
			where = append(where, "column "+pe.ColumnName)
		}
		if pe.ConstraintName != "" {
			where = append(where, "constraint "+pe.ConstraintName)
		}
		if len(where) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(where, ", "))
		}
	}
	if e.hint != "" {
		b.WriteString("; " + e.hint)
	}
	return b.String()
}

// Unwrap gives the class and the cause.
func (e *targetError) Unwrap() []error { return []error{e.class, e.cause} }

// Detail is the server's own detail, for the person who settles a parked change. It
// may quote values: it does not belong in a log.
func (e *targetError) Detail() string {
	var pe *pgconn.PgError
	if errors.As(e.cause, &pe) {
		return pe.Detail
	}
	return ""
}

// classify wraps err with its class, doing being a gerund. The caller's own
// cancellation stays what it is. What already has a class keeps it.
func classify(ctx context.Context, doing string, err error) error {
	var schema *apply.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &schema), errors.Is(err, apply.ErrTransient), errors.Is(err, apply.ErrRejected),
		errors.Is(err, apply.ErrFenced), errors.Is(err, change.ErrRefused), errors.Is(err, change.ErrStandby):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, parking.ErrMalformed): // not the database's doing
		return fmt.Errorf("%s: %w", doing, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %w", doing, context.Cause(ctx), err)
	}
	e := &targetError{class: apply.ErrTransient, doing: doing, cause: err}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		e.class = classOf(pe.Code)
		if pe.Code == "42501" {
			e.hint = "run concord init --grants and give the role what it prints"
		}
	}
	return e // without an SQLSTATE: the connection broke, or was never made
}

// classOf gives the class of an SQLSTATE. What says something about the data or the
// schema is rejected: it will be said again. What says something about the moment is
// transient, and so is what nobody knows: retrying is visible and loses nothing.
func classOf(code string) error {
	switch code {
	case "42501": // insufficient_privilege, also a policy of row level security
		return change.ErrRefused
	case "28000", "28P01", "3D000", // role, password, database
		"53400": // configuration_limit_exceeded: no free origin state
		return change.ErrRefused
	case "42P05", "26000": // a prepared statement is there, or gone: a pooler swapped sessions
		return apply.ErrTransient
	case "0A000", // feature_not_supported
		"21000", // cardinality_violation
		"55000": // object_not_in_prerequisite_state: published without a replica identity
		return apply.ErrRejected
	}
	switch code[:min(2, len(code))] {
	case "22", "23", "42", "44", "54", "P0", "2F", "38", "39", "3B", "2B", "3F":
		return apply.ErrRejected
	}
	return apply.ErrTransient
}

// sqlState returns the SQLSTATE of a server error, "" of others.
func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// staleSchema reports whether an error may come from a table that has changed since
// its catalogue was read.
func staleSchema(err error) bool {
	switch sqlState(err) {
	case "42703", "42P01", "3F000", "42804", "42883", "42P10", "428C9", "42704", "42809", "0A000", "42846":
		return true
	}
	return false
}
