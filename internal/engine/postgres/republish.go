package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Republish implements apply.RowTarget. The row is written with the values it has, each of
// them sent to the server: a value that is stored out of line is then a new one to the log,
// which has it whole. Triggers and foreign keys do not fire, as nothing changes.
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

const unparkSQL = `DELETE FROM concord.parked p USING jsonb_to_recordset($1::jsonb) AS r(origin text, epoch int4, seq int8, row_index int4)
	WHERE p.origin = r.origin AND p.epoch = r.epoch AND p.seq = r.seq AND p.row_index = r.row_index`

// Unpark implements apply.RowTx.
func (tx *targetTx) Unpark(ctx context.Context, parked []apply.Parked) error {
	if err := tx.check(); err != nil || len(parked) == 0 {
		return err
	}
	type name struct {
		Origin change.Site `json:"origin"`
		Epoch  uint32      `json:"epoch"`
		Seq    uint64      `json:"seq"`
		Index  int         `json:"row_index"`
	}
	names := make([]name, len(parked))
	for i, p := range parked {
		names[i] = name{p.Origin, p.Epoch, p.Seq, p.Index}
	}
	text, err := json.Marshal(names)
	if err != nil {
		return fmt.Errorf("removing parked changes: %w", err)
	}
	b := tx.start(ctx, true)
	b.add(query{sql: unparkSQL, params: [][]byte{text}, about: "removing parked changes"})
	return tx.run(ctx, b, "removing parked changes")
}
