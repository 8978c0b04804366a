package stream

import (
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// The numbers that the origin's database gave its transactions travel in the envelope:
// agents that do not know of them pass them over.

// xidsOf returns the differences from one transaction's number to the next; nil when
// none is known.
func xidsOf(txs []change.Transaction) []int64 {
	known := false
	for i := range txs {
		known = known || txs[i].XID != 0
	}
	if !known {
		return nil
	}
	out := make([]int64, len(txs))
	last := uint64(0)
	for i := range txs {
		out[i] = int64(txs[i].XID - last)
		last = txs[i].XID
	}
	return out
}

// takeXIDs is the inverse of xidsOf.
func takeXIDs(txs []change.Transaction, xids []int64) error {
	if len(xids) == 0 {
		return nil
	}
	if len(xids) != len(txs) {
		return fmt.Errorf("%w: %d transaction ids for %d transactions", errFormat, len(xids), len(txs))
	}
	last := uint64(0)
	for i := range txs {
		last += uint64(xids[i])
		txs[i].XID = last
	}
	return nil
}
