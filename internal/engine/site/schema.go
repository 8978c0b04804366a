package site

import "github.com/concord-db/concord/internal/change"

// Table is a replicated table as a site's database has it.
type Table struct {
	Name      string // schema.name
	Columns   []Column
	Key       []string // sorted
	Full      bool     // the log has the whole row before a change
	Sequences []Sequence
}

// Column is a column that is replicated.
type Column struct {
	Name    string
	Type    string // the engine's own name, with modifiers
	Kind    change.Kind
	NotNull bool
	Large   bool     // an update that leaves a value alone may not log it
	Labels  []string // of an enumeration, in order
}

// Sequence gives a column its numbers: Last, and from there in steps of Increment.
type Sequence struct {
	Column    string
	Name      string // as written in SQL
	Increment int64
	Last      int64
}
