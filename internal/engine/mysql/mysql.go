package mysql

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// Options say what a DB is for.
type Options = site.Options

// DB is one MySQL or MariaDB server: its log (capture.Source, capture.Beater) and its
// tables (apply.Target). Each part opens the connections it needs; Close gives up
// those that are kept. All methods may be called concurrently.
type DB struct {
	released atomic.Pointer[change.Position] // by the reader of the log; nil: nothing yet

	dsn    string
	opts   Options
	log    *slog.Logger
	beater beater
	target target
}

// New returns the server at dsn, a URL: see parseDSN. It connects nothing.
func New(dsn string, opts Options) *DB {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.PartBytes <= 0 {
		opts.PartBytes = 512 << 10
	}
	return &DB{dsn: dsn, opts: opts, log: opts.Logger.With("site", string(opts.Site))}
}

// Close gives up the connections that are kept between calls. Readers and
// transactions are closed by whoever opened them.
func (db *DB) Close(ctx context.Context) {
	db.closeBeater(ctx)
	db.closeTarget(ctx)
}

// role names what a connection is for; it is the last part of the program_name that
// the server shows, and decides its timeouts.
type role string

const (
	roleCapture   role = "capture"   // catalogue questions of the capture half
	roleReader    role = "reader"    // the binlog dump
	roleHeartbeat role = "heartbeat" // the heartbeat row
	roleApply     role = "apply"     // target transactions
	roleFence     role = "fence"     // asking for log positions
	roleLease     role = "lease"     // the user lock of one part
	roleAdmin     role = "admin"     // init, doctor, status
)
