package change

// RowRequest asks the site where a row was written last to publish it again, whole. Where
// a log leaves out large values that did not change, a site that lacks the row cannot make
// it from the log: it must come again, in order, as a write like any other.
type RowRequest struct {
	// Table has the columns of the key, and nothing else; Key is the row's image in that
	// shape.
	Table *Table
	Key   []Value
	// Above is the greatest version among the changes of the row that wait at the asking
	// site. A site that has a change above it waiting itself does not answer: the request
	// goes up, never round in a circle.
	Above Version
	// Seen is what the asking site has seen, its own transactions included: the answer must
	// know all of it, or it would meet what it is to settle.
	Seen Seen
}

// RowReply says what became of a RowRequest.
type RowReply string

// The replies.
const (
	RowPublished RowReply = "published" // a write of the row is in the log
	RowGone      RowReply = "gone"      // there is no such row; what took it away is in the log
	RowLater     RowReply = "later"     // not yet: ask again
)
