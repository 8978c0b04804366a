package site

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Conflict is a recorded conflict as people see it. Rows are JSON objects of column
// name to text or null; JSON null when there is no row, empty when it is not known.
type Conflict struct {
	ID         int64           `json:"id"`
	At         time.Time       `json:"at"`
	Table      string          `json:"table"`
	Key        json.RawMessage `json:"key"`
	Kind       string          `json:"kind"`
	Unique     string          `json:"unique_key,omitempty"` // that two rows have a value of
	Policy     string          `json:"policy"`
	Resolution string          `json:"resolution"`
	Message    string          `json:"message,omitempty"` // why a rule could not decide
	Older      ConflictSide    `json:"older"`
	Newer      ConflictSide    `json:"newer"`
	Base       json.RawMessage `json:"base,omitempty"` // at the last point that both knew
	Result     json.RawMessage `json:"result"`
}

// ConflictSide is one of the two writes of a Conflict.
type ConflictSide struct {
	Origin change.Site     `json:"origin"`
	Seq    uint64          `json:"seq"`
	HLC    uint64          `json:"hlc"`
	XID    uint64          `json:"xid,omitempty"`       // at its origin; 0: not known
	Commit *time.Time      `json:"committed,omitempty"` // by its origin's clock
	Op     string          `json:"op"`
	Row    json.RawMessage `json:"row,omitempty"`
}

// ConflictPage is one page of a listing. Next begins the following one; empty when
// there is none.
type ConflictPage struct {
	Conflicts []Conflict `json:"conflicts"`
	Next      string     `json:"next,omitempty"`
}

// Cursor names the place of c in a listing: it stays where it is whatever is recorded
// and pruned meanwhile.
func (c *Conflict) Cursor() ConflictCursor { return ConflictCursor{At: c.At, ID: c.ID} }

// ConflictCursor is a place in a listing. The zero one is before everything.
type ConflictCursor struct {
	At time.Time
	ID int64
}

// IsZero reports whether it is before everything.
func (c ConflictCursor) IsZero() bool { return c.ID == 0 }

// String is what ParseConflictCursor reads.
func (c ConflictCursor) String() string { return fmt.Sprintf("%d-%d", c.At.UnixMicro(), c.ID) }

// ParseConflictCursor reads a cursor.
func ParseConflictCursor(s string) (ConflictCursor, error) {
	var micros, id int64
	if n, err := fmt.Sscanf(s+"\n", "%d-%d\n", &micros, &id); err != nil || n != 2 || micros < 0 || id < 1 {
		return ConflictCursor{}, fmt.Errorf("%q is no place in a list; take it from next of the page before", s)
	}
	return ConflictCursor{At: time.UnixMicro(micros).UTC(), ID: id}, nil
}
