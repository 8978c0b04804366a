package demo

import (
	"context"

	"github.com/concord-db/concord/internal/demo/compare"
)

// shop is a connection to a site's database, in whose dialect it speaks. Not for
// concurrent use.
type shop interface {
	// mark raises the site's marker here and returns its number; marked is the number of
	// a site's marker here, 0 when there is none.
	mark(ctx context.Context, site string) (int64, error)
	marked(ctx context.Context, site string) (int64, error)
	// manyCustomers adds that many customers in one transaction. batch tells their e-mails
	// from those of others.
	manyCustomers(ctx context.Context, batch string, many int) error
	// kinds is how many conflicts of each kind Concord recorded here, parked how many
	// changes it set aside.
	kinds(ctx context.Context) (map[string]int64, error)
	parked(ctx context.Context) (int64, error)
	// recorded is what Concord recorded here of the rows of a table, as the cluster calls
	// it, whose column has a value: the kind of each conflict and what decided it, each once.
	recorded(ctx context.Context, table, column, value string) ([]string, error)
	// exec executes a statement; line is the first row that a query returns, as text, nil
	// without a row.
	exec(ctx context.Context, sql string) error
	line(ctx context.Context, sql string) ([]string, error)
	// begin begins a transaction, which the caller ends.
	begin(ctx context.Context) (transaction, error)
	// side is the database as one that is compared.
	side() compare.Side
	dialect() dialect
	// broken reports that the connection is of no more use.
	broken() bool
	close(ctx context.Context)
}

// transaction is one that is open in a shop.
type transaction interface {
	// exec returns how many rows the statement wrote.
	exec(ctx context.Context, sql string) (int64, error)
	commit(ctx context.Context) error
	// rollback does nothing after commit.
	rollback(ctx context.Context)
}
