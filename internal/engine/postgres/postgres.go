package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// Options say what a DB is for.
type Options = site.Options

// DB is one PostgreSQL database: its log (capture.Source, capture.Beater) and its
// tables (apply.Target). Each part opens the connections it needs; Close gives up
// those that are kept. All methods may be called concurrently.
type DB struct {
	dsn    string
	opts   Options
	log    *slog.Logger
	beater beater
	target target
}

// New returns the database at dsn (a URL or keyword string). It connects nothing.
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

// role names what a connection is for; it is the last part of application_name
// and decides its timeouts.
type role string

const (
	roleCapture   role = "capture"   // catalogue questions of the capture half
	roleReader    role = "reader"    // the walsender
	roleHeartbeat role = "heartbeat" // the heartbeat row
	roleApply     role = "apply"     // target transactions
	roleFence     role = "fence"     // flushing and asking for log positions
	roleLease     role = "lease"     // the advisory lock of one origin
	roleAdmin     role = "admin"     // init, doctor, status
)

// sessionSettings are fixed for every connection, the walsender included, so that
// text means the same at every site whatever a role or database has set. They are
// sent in the startup packet: no round trip, and no moment without them.
var sessionSettings = map[string]string{
	"client_encoding":                     "UTF8",
	"datestyle":                           "ISO, YMD",
	"intervalstyle":                       "postgres",
	"timezone":                            "UTC",
	"extra_float_digits":                  "1",
	"bytea_output":                        "hex",
	"lc_monetary":                         "C",
	"xmloption":                           "content",
	"search_path":                         "",
	"standard_conforming_strings":         "on",
	"array_nulls":                         "on",
	"quote_all_identifiers":               "off",
	"row_security":                        "off", // fail instead of filtering silently
	"default_transaction_isolation":       "read committed",
	"default_transaction_read_only":       "off", // a fenced site is still written by its agents
	"default_transaction_deferrable":      "off",
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"client_min_messages":                 "warning",
}

// lockTimeouts bound how long each kind of session waits for a lock of an
// application. Applications come first; apply sets a shorter one of its own.
var lockTimeouts = map[role]string{
	roleApply:     "1s",
	roleHeartbeat: "2s",
}

// config parses the dsn for one connection.
func (db *DB) config(r role) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		// pgconn has removed the password from the text of this error.
		return nil, fmt.Errorf("reading the dsn: %w", err)
	}
	for k, v := range sessionSettings {
		cfg.RuntimeParams[k] = v
	}
	timeout := lockTimeouts[r]
	if timeout == "" {
		timeout = "10s"
	}
	cfg.RuntimeParams["lock_timeout"] = timeout
	cfg.RuntimeParams["application_name"] = fmt.Sprintf("concord/%s/%s", db.opts.Site, r)
	if cfg.ConnectTimeout == 0 || cfg.ConnectTimeout > 10*time.Second {
		cfg.ConnectTimeout = 10 * time.Second
	}
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4,
	}}).DialContext
	return cfg, nil
}

// connect opens an ordinary session. The caller closes it.
func (db *DB) connect(ctx context.Context, r role) (*pgx.Conn, error) {
	cfg, err := db.config(r)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(err)
	}
	return conn, nil
}

// connectReplication opens a walsender session for the same database: SQL by the
// simple protocol and the replication commands. The caller closes it.
func (db *DB) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := db.config(roleReader)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["replication"] = "database"
	// A large read buffer: one system call for hundreds of small messages.
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, gatherBytes), w)
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newCoalescer(conn), nil // below TLS
	}
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, connectError(err)
	}
	return conn, nil
}

// connectError explains a failed connection. What a person must put right is
// change.ErrRefused; everything else may be retried.
func connectError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "28000", "28P01": // no pg_hba.conf entry, role, or password
			return fmt.Errorf("connecting: %w: %w; check the role, its password and pg_hba.conf", change.ErrRefused, err)
		case "3D000":
			return fmt.Errorf("connecting: %w: %w; create it, or put its name right in the dsn", change.ErrRefused, err)
		case "42501": // no right to connect, or to read the log
			return fmt.Errorf("connecting: %w: %w; see concord init --grants", change.ErrRefused, err)
		}
	}
	return fmt.Errorf("connecting: %w", err)
}

// closeConn ends a session, not waiting long for the server to notice. It works
// after ctx has ended.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with a session
}
