package site

import (
	"encoding/json"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// ConflictFilter selects recorded conflicts, newest first. Zero fields do not select.
type ConflictFilter struct {
	Since  time.Time // settled at or after
	Table  string    // schema.name
	Kind   string
	Before int64 // only ids less than this: the next page
	Limit  int   // 0: 100
}

// Conflict is a recorded conflict as people see it. Rows are JSON objects of column
// name to text or null; JSON null when there is no row.
type Conflict struct {
	ID         int64           `json:"id"`
	At         time.Time       `json:"at"`
	Table      string          `json:"table"`
	Key        json.RawMessage `json:"key"`
	Kind       string          `json:"kind"`
	Policy     string          `json:"policy"`
	Resolution string          `json:"resolution"`
	Older      ConflictSide    `json:"older"`
	Newer      ConflictSide    `json:"newer"`
	Result     json.RawMessage `json:"result"`
}

// ConflictSide is one of the two writes of a Conflict.
type ConflictSide struct {
	Origin change.Site     `json:"origin"`
	Seq    uint64          `json:"seq"`
	HLC    uint64          `json:"hlc"`
	Op     string          `json:"op"`
	Row    json.RawMessage `json:"row"`
}
