package compare

import "context"

// Side is a database to be compared with another.
type Side interface {
	// Tables lists the tables with a primary key in a schema, by name.
	Tables(ctx context.Context, schema string) ([]Table, error)
	// Open reads every row of a table, in an order that is nearly the same at both sides.
	// The caller closes it.
	Open(ctx context.Context, table Table) (Rows, error)
}

// Rows is a table being read.
type Rows interface {
	// Next goes on to the next row; false at the end and after an error.
	Next() bool
	// Row is the row that Next went to, as text: its key, and all its columns. Both are
	// valid until Next. Rows that are the same are the same text at both sides.
	Row() (key, row []byte)
	// Err is what ended the reading before its end.
	Err() error
	Close()
}
