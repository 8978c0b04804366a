package site

import "github.com/concord-db/concord/internal/change"

// Table is a replicated table as a site's database has it.
type Table struct {
	Name      string // schema.name
	Columns   []Column
	Key       []string // sorted
	Full      bool     // the log has the whole row before a change
	Sequences []Sequence
	Unique    []string // unique indexes besides the key
	// ForeignKeys are those of the table, and those of tables that are not replicated to
	// it.
	ForeignKeys []ForeignKey
}

// ForeignKey says that rows of Child have a row of Parent.
type ForeignKey struct {
	Name          string
	Child, Parent string // schema.name
	Columns       []string
	ParentColumns []string
	OnDelete      string // CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION
}

// Column is a column that is replicated.
type Column struct {
	Name    string
	Type    string // the engine's own name, with modifiers
	Kind    change.Kind
	NotNull bool
	// Collation is that of change.Column.
	Collation string
	Large     bool     // an update that leaves a value alone may not log it
	Labels    []string // of an enumeration, in order
}

// Sequence gives a column its numbers: Last, and from there in steps of Increment.
type Sequence struct {
	Column    string
	Name      string // as written in SQL
	Increment int64
	Last      int64
	// Server: the server's settings give all its columns their numbers.
	Server bool
}
