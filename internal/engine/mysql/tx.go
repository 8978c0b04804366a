package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// targetTx is an open target transaction; see apply.Tx. It sends nothing before it
// must: what opens it travels with its first statement, and one that writes nothing
// but its checkpoint is one round trip.
type targetTx struct {
	db      *DB
	c       apply.Checkpoint
	local   bool // an ordinary local write, of a person who settles a parked change: no mark
	gaps    bool // it locks what is not there, too: see LockTable
	lane    *lane
	release func() // gives the lane back; nil once the transaction has ended

	begun     bool      // what opens it was sent
	savepoint bool      // one is set
	pending   []delayed // to be sent before the next statement
	undone    error     // the server may have rolled it back
}

// delayed is a statement that waits for the next one.
type delayed struct {
	sql   string
	about string
}

const savepointOfApply = "concord"

// start returns a batch that begins with what is pending.
func (tx *targetTx) start(ctx context.Context) *batch {
	b := tx.lane.batch(ctx)
	if !tx.begun {
		if tx.gaps {
			b.add(query{about: "beginning"}, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
		}
		b.add(query{about: "beginning"}, "START TRANSACTION READ WRITE")
		if !tx.local {
			tx.mark(b)
		}
		tx.begun = true
	}
	for _, s := range tx.pending {
		b.add(query{about: s.about}, s.sql)
	}
	tx.pending = tx.pending[:0]
	return b
}

// mark moves the checkpoint. It is the first write of the transaction: by it capture
// knows a replicated one. The row must be where it should be; where it is not, or not
// there, the second statement overflows, so that nothing behind it in the same packet
// happens.
func (tx *targetTx) mark(b *batch) {
	c := tx.c
	b.add(query{about: "moving the checkpoint of " + string(c.Origin)}, fmt.Sprintf(
		"UPDATE concord.checkpoint SET epoch = %d, seq = %d, hlc = %d, applied_at = UTC_TIMESTAMP(6) WHERE origin = %s AND seq = %d",
		c.Epoch, c.Seq, c.HLC, literal(string(c.Origin)), c.Previous))
	b.add(query{about: markAbout}, "SET @concord_moved = 18446744073709551615 + (1 - ROW_COUNT())")
}

const (
	markAbout  = "looking whether the checkpoint moved"
	outOfRange = 1690
)

// fenced recognises the error of a checkpoint that was not where it should be.
func fenced(c apply.Checkpoint, err error) error {
	var qe *queryError
	if errors.As(err, &qe) && qe.about == markAbout && errorNumber(err) == outOfRange {
		return fmt.Errorf("%w: the checkpoint of %s is not at %d: another agent applies here", apply.ErrFenced, c.Origin, c.Previous)
	}
	return err
}

// run runs a batch of start and classifies its error.
func (tx *targetTx) run(ctx context.Context, b *batch, doing string) error {
	err := b.run()
	if err == nil {
		return nil
	}
	tx.db.target.noteRefusal(err)
	err = classified(ctx, doing, fenced(tx.c, err))
	if errors.Is(err, apply.ErrTransient) {
		// A deadlock, and with some settings a lock wait, ends the whole transaction at the
		// server: what followed would be another one, without a mark.
		tx.undone = fmt.Errorf("%w: the transaction has failed before", apply.ErrTransient)
	}
	var row *rowError
	var e *targetError
	if errors.As(err, &e) && errors.Is(e.class, apply.ErrRejected) && !errors.As(err, &row) {
		// Concord's own objects are not as they should be: no reason to park anything.
		e.class, e.hint = change.ErrRefused, "run concord init, see concord doctor"
	}
	return err
}

// check fails when the transaction has ended, or its agent no longer holds the lease.
func (tx *targetTx) check() error {
	if tx.release == nil {
		return errors.New("the transaction has ended")
	}
	if tx.undone != nil {
		return tx.undone
	}
	if !tx.local && tx.db.target.leases.lost(tx.c.Origin) {
		return fmt.Errorf("%w: the connection that holds the lease on %s is gone", apply.ErrFenced, tx.c.Origin)
	}
	return nil
}

// Savepoint implements apply.Tx. It replaces the savepoint before it, as the server
// does with one of the same name; it is sent with the next statement.
func (tx *targetTx) Savepoint(context.Context) error {
	if err := tx.check(); err != nil {
		return err
	}
	tx.savepoint = true
	tx.pending = append(tx.pending, delayed{"SAVEPOINT " + savepointOfApply, "setting a savepoint"})
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
	b := tx.start(ctx)
	b.add(query{about: "rolling back to the savepoint"}, "ROLLBACK TO SAVEPOINT "+savepointOfApply)
	return tx.run(ctx, b, "rolling back to the savepoint")
}

// LockTable keeps every other writer away from a table until the transaction ends;
// see apply.TableLocker. The server has no lock of a table that does not end the
// transaction. So all rows are locked, and the gaps between them, which takes a
// transaction that was begun for it: one that was not is given up, and the next one of
// this origin is begun so.
func (tx *targetTx) LockTable(ctx context.Context, shape *change.Table) error {
	if err := tx.check(); err != nil {
		return err
	}
	t, err := tx.db.table(ctx, shape, shape.Key)
	if err != nil {
		return err
	}
	if tx.begun && !tx.gaps {
		tx.db.target.lockGaps(tx.c.Origin, true)
		return fmt.Errorf("%w: locking table %s: the transaction is begun anew for it", apply.ErrTransient, shape.QualifiedName())
	}
	tx.gaps = true
	b := tx.start(ctx)
	sql := "SELECT count(*) FROM " + t.sql() + t.force + " FOR UPDATE"
	if tx.lane.conn.flavor == mySQL {
		sql += " NOWAIT"
	}
	b.add(query{about: "locking table " + shape.QualifiedName(), shape: shape}, sql)
	return tx.failed(ctx, shape, shape.Key, t, tx.run(ctx, b, "locking"))
}

// LogPosition implements apply.Tx.
func (tx *targetTx) LogPosition(ctx context.Context) (change.Position, error) {
	if err := tx.check(); err != nil {
		return "", err
	}
	return tx.db.logPosition(ctx)
}

// Commit implements apply.Tx.
func (tx *targetTx) Commit(ctx context.Context) error {
	if err := tx.check(); err != nil {
		return err
	}
	b := tx.start(ctx)
	b.add(query{about: "committing"}, "COMMIT")
	err := tx.run(ctx, b, "committing")
	if err != nil {
		tx.lane.close() // it may have committed or not
	} else if tx.gaps {
		tx.db.target.lockGaps(tx.c.Origin, false)
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
		if _, err := tx.lane.conn.exec(ctx, "ROLLBACK"); err != nil || !tx.lane.usable() {
			tx.lane.close()
		}
	}
	tx.end()
}

func (tx *targetTx) end() {
	tx.release()
	tx.release = nil
}
