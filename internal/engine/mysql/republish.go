package mysql

import (
	"context"
	"fmt"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

var (
	_ apply.RowTarget = (*DB)(nil)
	_ apply.RowTx     = (*targetTx)(nil)
)

// Republish implements apply.RowTarget. The row is deleted and inserted as it was: an
// update that changes nothing is not in the log.
func (db *DB) Republish(ctx context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (there bool, err error) {
	doing := "publishing a row of " + table.QualifiedName() + " again"
	err = db.locally(ctx, doing, func(tx *targetTx) error {
		there, err = tx.touch(ctx, &change.Row{Table: table, Op: change.Delete, Old: key})
		if err != nil || !there {
			return err
		}
		return tx.Unpark(ctx, parked)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	return there, nil
}

// UnparkVacant implements apply.RowTarget.
func (db *DB) UnparkVacant(ctx context.Context, table *change.Table, key []change.Value, parked []apply.Parked) (vacant bool, err error) {
	doing := "settling what waits for a row of " + table.QualifiedName()
	err = db.locally(ctx, doing, func(tx *targetTx) error {
		images, err := tx.Read(ctx, table, [][]change.Value{key})
		if err != nil {
			return err
		}
		if vacant = images[0] == nil; !vacant {
			return nil
		}
		return tx.Unpark(ctx, parked)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	return vacant, nil
}

// Unpark implements apply.RowTx.
func (tx *targetTx) Unpark(ctx context.Context, parked []apply.Parked) error {
	if err := tx.check(); err != nil || len(parked) == 0 {
		return err
	}
	b := tx.start(ctx)
	for _, p := range parked {
		b.add(query{about: "removing parked changes"}, fmt.Sprintf("DELETE FROM concord.parked WHERE origin = %s AND epoch = %d AND seq = %d AND row_index = %d",
			literal(string(p.Origin)), p.Epoch, p.Seq, p.Index))
	}
	return tx.run(ctx, b, "removing parked changes")
}
