package crossing

import (
	"context"
	"slices"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// wholeTx is what the transactions of every engine do.
type wholeTx interface {
	apply.Tx
	apply.HoldTx
	apply.RowTx
	apply.TableLocker
}

// tx takes the cluster's names and writes under those of the site.
type tx struct {
	wholeTx
	site *Site
}

// Write implements apply.Tx.
func (t *tx) Write(ctx context.Context, writes []apply.Write) ([]int, error) {
	local := writes
	for i := range writes {
		row := writes[i].Row
		table, err := t.site.toLocal(row.Table)
		if err != nil {
			return nil, err
		}
		if err := misfit(row); err != nil {
			return nil, err
		}
		if table == row.Table {
			continue
		}
		if &local[0] == &writes[0] {
			local = slices.Clone(writes)
		}
		here := *row
		here.Table = table
		local[i].Row = &here
	}
	missing, err := t.wholeTx.Write(ctx, local)
	return missing, t.site.outwardError(err)
}

// Read implements apply.Tx.
func (t *tx) Read(ctx context.Context, table *change.Table, keys [][]change.Value) ([][]change.Value, error) {
	local, err := t.site.toLocal(table)
	if err != nil {
		return nil, err
	}
	images, err := t.wholeTx.Read(ctx, local, keys)
	for _, image := range images {
		t.site.spell(table, image)
	}
	return images, t.site.outwardError(err)
}

// Truncate implements apply.Tx.
func (t *tx) Truncate(ctx context.Context, table *change.Table, keep func(key []change.Value) bool) error {
	local, err := t.site.toLocal(table)
	if err != nil {
		return err
	}
	return t.site.outwardError(t.wholeTx.Truncate(ctx, local, keep))
}

// LockTable implements apply.TableLocker.
func (t *tx) LockTable(ctx context.Context, table *change.Table) error {
	local, err := t.site.toLocal(table)
	if err != nil {
		return err
	}
	return t.site.outwardError(t.wholeTx.LockTable(ctx, local))
}

// Record implements apply.Tx. Parked changes are kept under the names of the site, which
// they are carried out under.
func (t *tx) Record(ctx context.Context, conflicts []apply.Conflict, parked []apply.Parked) error {
	local := slices.Clone(parked)
	for i := range local {
		table := local[i].Row.Table
		name, ok := t.site.names.Local(table.QualifiedName())
		if !ok {
			continue // it cannot be carried out: it stays under the cluster's
		}
		local[i].Row.Table = rename(table, name, func(c string) string { return t.site.names.LocalColumn(table.QualifiedName(), c) })
	}
	return t.site.outwardError(t.wholeTx.Record(ctx, conflicts, local))
}
