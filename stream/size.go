package stream

import "github.com/concord-db/concord/internal/change"

// MaxFrameBytes is the size at which a frame should be cut: the sum of the
// TransactionSize of its transactions, uncompressed. A frame beyond it is stored
// all the same, up to the limit of the bus, so that one huge row passes.
const MaxFrameBytes = 768 << 10

// What surrounds the values. These are generous: the decoded form takes more
// memory than the encoded one, and the sum bounds both.
const (
	transactionOverhead = 64
	rowOverhead         = 16
	valueOverhead       = 1
	textOverhead        = 3
)

// TransactionSize estimates the bytes a transaction takes in a frame before
// compression, the shapes of its tables left out. It is never too low.
func TransactionSize(t *change.Transaction) int {
	n := transactionOverhead + len(t.Position) + 12*len(t.Seen)
	for i := range t.Rows {
		n += RowSize(&t.Rows[i])
	}
	return n
}

// RowSize estimates the bytes a row change takes in a frame before compression.
func RowSize(r *change.Row) int { return rowOverhead + imageSize(r.Old) + imageSize(r.New) }

func imageSize(image []change.Value) int {
	n := valueOverhead * len(image)
	for i := range image {
		if image[i].State == change.Present {
			n += textOverhead + len(image[i].Text)
		}
	}
	return n
}
