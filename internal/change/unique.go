package change

// UniqueKey is a unique key of a table besides its replication key, as the origin's
// catalogue had it when the shape was made. Only keys whose values can be told from an
// image are in a shape: of columns, taken as they are or without regard to case, for
// rows that fulfil simple conditions.
type UniqueKey struct {
	Name  string       // of the index at the origin, for messages; not part of what the key is
	Parts []UniquePart // in the order of the index; never empty
	Where []Condition  // all must hold for a row to be in the index; nil: every row is
	// NullsEqual: two NULLs are the same value (NULLS NOT DISTINCT). Else a row with a
	// NULL in any part takes no value.
	NullsEqual bool
	// Deferrable: the database checks it when a transaction ends, and not at all for what
	// is written the way apply writes (PostgreSQL's session_replication_role = replica
	// turns the check off). So apply looks at such rows again after it has committed.
	Deferrable bool
}

// UniquePart is one part of a unique key.
type UniquePart struct {
	Column int // index into Table.Columns
	Case   Case
}

// Case says what is done to a text before it is compared.
type Case uint8

// The cases.
const (
	AsItIs Case = iota
	Lower
	Upper
)

// Condition is a test of one column.
type Condition struct {
	Column int // index into Table.Columns
	Test   Test
	Values []string // canonical texts, for In and NotIn
}

// Test is the kind of a condition. All but IsNull fail for NULL.
type Test uint8

// The tests.
const (
	IsNull Test = iota
	NotNull
	In    // one of Values
	NotIn // none of Values
)
