package mysql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/parking"
)

// targetError is what the server said, with its class. Its text names tables, columns
// and indexes; Detail may quote values of rows.
type targetError struct {
	class error // apply.ErrTransient, apply.ErrRejected, apply.ErrFenced or change.ErrRefused
	doing string
	cause error
	hint  string // the remedy, when a person must put something right
}

func (e *targetError) Error() string {
	text := e.cause.Error()
	var me *gomysql.MyError
	if errors.As(e.cause, &me) {
		said := withoutValues(me)
		text = strings.TrimSuffix(text, me.Error())
		text += fmt.Sprintf("ERROR %d (%s): %s", me.Code, me.State, said)
	}
	text = fmt.Sprintf("%s: %s: %s", e.class, e.doing, text)
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

// Unwrap gives the class and the cause.
func (e *targetError) Unwrap() []error { return []error{e.class, e.cause} }

// Detail is the server's own text, for the person who settles a parked change. It may
// quote values: it does not belong in a log.
func (e *targetError) Detail() string {
	var me *gomysql.MyError
	if errors.As(e.cause, &me) {
		return me.Message
	}
	return ""
}

// quotedValue is where the messages of the server quote a value: before what it is for.
var quotedValue = regexp.MustCompile(`(?s)^(.*?(?:entry|value|value:|string:)) '.*' (for (?:key|column|function) .*)$`)

// withoutValues is what the server said without the values that it quotes.
func withoutValues(e *gomysql.MyError) string {
	if m := quotedValue.FindStringSubmatch(e.Message); m != nil {
		return m[1] + " " + m[2]
	}
	before, _, quotes := strings.Cut(e.Message, "'")
	switch {
	case e.Code == gomysql.ER_PARSE_ERROR: // "… near 'INSERT INTO …'"
		return "the statement was not understood"
	case quotes && namesOnly[e.Code]:
		return e.Message
	case quotes:
		return strings.TrimSpace(before) + " …"
	}
	return e.Message
}

// namesOnly are the errors whose quotes are around names.
var namesOnly = map[uint16]bool{
	1044: true, 1045: true, 1046: true, 1048: true, 1049: true, 1054: true, 1109: true, 1142: true, 1143: true, 1146: true, 1264: true, 1265: true, 1290: true,
	1305: true, 1364: true, 1406: true, 1451: true, 1452: true, 1526: true, 1836: true, 1906: true, 3105: true, 3819: true, 4025: true,
}

// classified wraps err with its class, doing being a gerund. The caller's own
// cancellation stays what it is. What already has a class keeps it.
func classified(ctx context.Context, doing string, err error) error {
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
	if n := errorNumber(err); n != 0 {
		e.class = classOf(n, sqlState(err))
		e.hint = hints[n]
	}
	return e // without a number: the connection broke, or was never made
}

// hints are what a person can do about it.
var hints = map[uint16]string{
	1044: "run concord init --grants and give the account what it prints",
	1142: "run concord init --grants and give the account what it prints",
	1143: "run concord init --grants and give the account what it prints",
	1227: "run concord init --grants and give the account what it prints",
	1153: "raise max_allowed_packet",
	1290: "open the server for writing, or let Concord's account write to a read-only one: see concord init --grants",
}

// classOf gives the class of the server's error number and SQLSTATE. What says
// something about the data or the schema is rejected: it will be said again. What says
// something about the moment is transient, and so is what nobody knows: retrying is
// visible and loses nothing.
func classOf(number uint16, state string) error {
	if class := classes[number]; class != nil {
		return class
	}
	switch state[:min(2, len(state))] {
	case "21", "22", "23", "42", "44", "45":
		return apply.ErrRejected
	}
	return apply.ErrTransient
}

var classes = map[uint16]error{
	// Rights and passwords.
	1044: change.ErrRefused, 1045: change.ErrRefused, 1142: change.ErrRefused, 1143: change.ErrRefused, 1227: change.ErrRefused,
	1251: change.ErrRefused, 1370: change.ErrRefused, 1698: change.ErrRefused, 1820: change.ErrRefused, 3118: change.ErrRefused, 4151: change.ErrRefused,

	// Limits of sessions and accounts: of the moment, whatever their SQLSTATE.
	1040: apply.ErrTransient, 1129: apply.ErrTransient, 1203: apply.ErrTransient, 1226: apply.ErrTransient, 1461: apply.ErrTransient, 1243: apply.ErrTransient,
	// Locks: a wait that took too long, a deadlock, NOWAIT, a row that changed (MariaDB).
	1205: apply.ErrTransient, 1213: apply.ErrTransient, 3572: apply.ErrTransient, 1020: apply.ErrTransient,
	// Ended from outside: killed, out of time, shutting down.
	1053: apply.ErrTransient, 1317: apply.ErrTransient, 1927: apply.ErrTransient, 1969: apply.ErrTransient, 3024: apply.ErrTransient, 3169: apply.ErrTransient,
	// Read only: the server, an engine, a transaction, a hook of group replication.
	1290: apply.ErrTransient, 1792: apply.ErrTransient, 1836: apply.ErrTransient, 3100: apply.ErrTransient,
	// No room; the engine's own errors; a commit that failed.
	1021: apply.ErrTransient, 1026: apply.ErrTransient, 1030: apply.ErrTransient, 1114: apply.ErrTransient, 1180: apply.ErrTransient,
	// The table is being altered, or a statement must be made anew.
	1412: apply.ErrTransient, 1615: apply.ErrTransient,
	// A savepoint that is gone: its transaction was rolled back.
	1305: apply.ErrTransient,

	// What no SQLSTATE of class 22, 23 or 42 says.
	1022: apply.ErrRejected, 1153: apply.ErrRejected, 1169: apply.ErrRejected, 1216: apply.ErrRejected, 1217: apply.ErrRejected,
	1264: apply.ErrRejected, 1265: apply.ErrRejected, 1267: apply.ErrRejected, 1292: apply.ErrRejected, 1300: apply.ErrRejected, 1301: apply.ErrRejected,
	1364: apply.ErrRejected, 1365: apply.ErrRejected, 1366: apply.ErrRejected, 1367: apply.ErrRejected, 1406: apply.ErrRejected, 1411: apply.ErrRejected,
	1416: apply.ErrRejected, 1442: apply.ErrRejected, 1451: apply.ErrRejected, 1452: apply.ErrRejected, 1526: apply.ErrRejected, 1586: apply.ErrRejected,
	1690: apply.ErrRejected, 1748: apply.ErrRejected, 1906: apply.ErrRejected, 3037: apply.ErrRejected, 3105: apply.ErrRejected, 3140: apply.ErrRejected,
	3643: apply.ErrRejected, 3819: apply.ErrRejected, 3854: apply.ErrRejected, 4025: apply.ErrRejected,
}

// sqlState returns the SQLSTATE of a server error, "" of others.
func sqlState(err error) string {
	var me *gomysql.MyError
	if errors.As(err, &me) {
		return me.State
	}
	return ""
}

// staleSchema reports whether an error may come from a table that has changed since
// its catalogue was read.
func staleSchema(err error) bool {
	switch errorNumber(err) {
	case 1049, 1054, 1109, 1136, 1146, 1412, 1906, 3105:
		return true
	}
	return false
}
