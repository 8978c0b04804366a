package change

// State says what is known of a value. Null, present and unchanged are three
// different things; an unchanged value is not in the image at all (an unchanged
// TOAST column, a column outside a partial old image).
type State uint8

// The states. The zero Value is Unchanged: nothing is known.
const (
	Unchanged State = iota
	Null
	Present
)

// Value is one column's value: canonical text, or exact bytes for KindBytes.
// Text is empty unless State is Present.
type Value struct {
	Text  string
	State State
}

// TextValue returns a present value.
func TextValue(s string) Value { return Value{Text: s, State: Present} }

// NullValue returns SQL NULL.
func NullValue() Value { return Value{State: Null} }

// Op is what a row change does.
type Op uint8

// The operations.
const (
	Insert Op = iota + 1
	Update
	Delete
	Truncate // every row of Table; no images
)

func (o Op) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Truncate:
		return "truncate"
	}
	return "unknown"
}

// Row is one row change in log order. Images have one Value per Table.Columns.
type Row struct {
	Table *Table
	Op    Op
	// Old is the row before: nil for Insert and Truncate. For Delete the key is
	// always present. For Update it is nil when the key did not change and the
	// table does not log full old images; otherwise at least the key is present.
	// Columns not logged are Unchanged.
	Old []Value
	// New is the row after: nil for Delete and Truncate. Its key is always
	// present. Columns that the log left out (unchanged TOAST) are Unchanged.
	New []Value
}

// Key returns the image that names the row the change is about before it
// happened: Old for Delete and for an Update that carries Old, else New. Only its
// key columns may be relied on. Nil for Truncate.
func (r *Row) Key() []Value {
	if r.Op != Insert && r.Old != nil {
		return r.Old
	}
	return r.New
}

// MovesKey reports whether an Update changes the replication key: as a write it
// is then a delete of the old key and an insert of the new one.
func (r *Row) MovesKey() bool {
	if r.Op != Update || r.Old == nil {
		return false
	}
	for _, k := range r.Table.Key {
		if r.Old[k] != r.New[k] {
			return true
		}
	}
	return false
}

// Partial reports whether the new image lacks a value.
func (r *Row) Partial() bool {
	for i := range r.New {
		if r.New[i].State == Unchanged {
			return true
		}
	}
	return false
}
