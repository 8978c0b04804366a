package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// targetTx is an open target transaction; see apply.Tx. It sends nothing before it
// must: what opens it travels with its first statement, and one that writes nothing
// but its checkpoint is one round trip.
type targetTx struct {
	db      *DB
	c       apply.Checkpoint
	marking marking
	lane    *lane
	release func() // gives the lane back; nil once the transaction has ended

	begun     bool    // BEGIN was sent
	marked    bool    // the session origin, or the checkpoint row, was sent
	savepoint bool    // one is set
	pending   []query // to be sent before the next statement
}

const savepointName = "concord"

// start returns a batch that begins with what is pending; writes says that rows will
// be written. When the batch has run without error, sent must be called.
func (tx *targetTx) start(ctx context.Context, writes bool) *batch {
	b := tx.lane.batch(ctx)
	if !tx.begun {
		// A fenced site's default is read only; its agents write all the same.
		b.add(query{sql: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", about: "beginning"})
		tx.begun = true
	}
	if writes && !tx.marked {
		switch tx.marking {
		case markFirst:
			b.add(markQuery(tx.c))
		case markOrigin:
			b.add(tx.db.setupQuery(tx.c.Origin, tx.lane.number))
		}
		tx.marked = true
	}
	for _, q := range tx.pending {
		b.add(q)
	}
	tx.pending = tx.pending[:0]
	return b
}

// run runs a batch of start and classifies its error.
func (tx *targetTx) run(ctx context.Context, b *batch, doing string) error {
	err := b.run()
	if err == nil {
		return nil
	}
	err = classify(ctx, doing, fenced(tx.c, err))
	var row *rowError
	var e *targetError
	if errors.As(err, &e) && errors.Is(e.class, apply.ErrRejected) && !errors.As(err, &row) && !aboutData(sqlState(err)) {
		// Concord's own objects are not as they should be: no reason to park anything.
		e.class, e.hint = change.ErrRefused, "run concord init, see concord doctor"
	}
	return err
}

// aboutData reports whether an error outside the writes, as of a deferred constraint
// at the commit, is about what was written all the same.
func aboutData(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "P0")
}

// check fails when the transaction has ended, or its agent no longer holds the lease.
func (tx *targetTx) check() error {
	if tx.release == nil {
		return errors.New("the transaction has ended")
	}
	if tx.marking != unmarked && tx.db.target.leases.lost(tx.c.Origin) {
		return fmt.Errorf("%w: the connection that holds the lease on %s is gone", apply.ErrFenced, tx.c.Origin)
	}
	return nil
}

// Savepoint implements apply.Tx. It replaces the savepoint before it; it is sent
// with the next statement.
func (tx *targetTx) Savepoint(context.Context) error {
	if err := tx.check(); err != nil {
		return err
	}
	if tx.savepoint {
		tx.pending = append(tx.pending, query{sql: "RELEASE SAVEPOINT " + savepointName, about: "releasing the savepoint"})
	}
	tx.savepoint = true
	tx.pending = append(tx.pending, query{sql: "SAVEPOINT " + savepointName, about: "setting a savepoint"})
	return nil
}

// RollbackTo implements apply.Tx. The savepoint stays.
func (tx *targetTx) RollbackTo(ctx context.Context) error {
	if err := tx.check(); err != nil {
		return err
	}
	if !tx.savepoint {
		return errors.New("rolling back to a savepoint: there is none")
	}
	b := tx.start(ctx, false)
	b.add(query{sql: "ROLLBACK TO SAVEPOINT " + savepointName, about: "rolling back to the savepoint"})
	return tx.run(ctx, b, "rolling back to the savepoint")
}

// LockTable keeps every other writer away from a table until the transaction ends;
// see apply.TableLocker.
func (tx *targetTx) LockTable(ctx context.Context, shape *change.Table) error {
	if err := tx.check(); err != nil {
		return err
	}
	t, err := tx.db.local(ctx, shape, nil)
	if err != nil {
		return err
	}
	b := tx.start(ctx, false)
	b.add(query{sql: "LOCK TABLE " + t.only() + " IN SHARE ROW EXCLUSIVE MODE", about: "locking table " + shape.QualifiedName()})
	return tx.failed(ctx, shape, nil, t, tx.run(ctx, b, "locking"))
}

// LogPosition implements apply.Tx.
func (tx *targetTx) LogPosition(ctx context.Context) (change.Position, error) {
	if err := tx.check(); err != nil {
		return "", err
	}
	return tx.db.logPosition(ctx)
}

// errRolledBack: the server answered COMMIT with ROLLBACK.
var errRolledBack = errors.New("the transaction had failed and was rolled back")

// Commit implements apply.Tx.
func (tx *targetTx) Commit(ctx context.Context) error {
	if err := tx.check(); err != nil {
		return err
	}
	wrote := tx.marked
	b := tx.start(ctx, false)
	switch {
	case tx.marking == markOrigin && wrote:
		b.add(resetQuery())
		b.add(markQuery(tx.c))
	case tx.marking == markOrigin, tx.marking == markFirst && !wrote:
		b.add(markQuery(tx.c))
	}
	b.add(query{sql: "COMMIT", about: "committing", tag: func(t pgconn.CommandTag) error {
		if t.String() == "ROLLBACK" {
			return errRolledBack
		}
		return nil
	}})
	err := tx.run(ctx, b, "committing")
	if err != nil {
		// It may have left its origin or not, committed or not: the session goes.
		tx.lane.close(ctx)
	}
	tx.end()
	return err
}

// rollbackTimeout bounds how long a rollback waits for the server; then the session
// is dropped, which rolls back too.
const rollbackTimeout = 5 * time.Second

// Rollback implements apply.Tx. A session whose state is in any doubt is closed.
func (tx *targetTx) Rollback(ctx context.Context) {
	if tx.release == nil {
		return
	}
	if tx.begun {
		ctx, cancel := context.WithTimeout(ctx, rollbackTimeout)
		defer cancel()
		b := tx.lane.batch(ctx)
		b.add(query{sql: "ROLLBACK", about: "rolling back"})
		if tx.marked && tx.marking == markOrigin {
			b.add(resetQuery())
		}
		if b.run() != nil || !tx.lane.usable() {
			tx.lane.close(ctx)
		}
	}
	tx.end()
}

func (tx *targetTx) end() {
	tx.release()
	tx.release = nil
}
