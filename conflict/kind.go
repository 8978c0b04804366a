package conflict

import "github.com/concord-db/concord/internal/change"

// Kind names what happened, in PostgreSQL's words.
type Kind string

// The kinds.
const (
	InsertExists        Kind = "insert_exists"
	UpdateOriginDiffers Kind = "update_origin_differs"
	UpdateMissing       Kind = "update_missing"
	UpdateDeleted       Kind = "update_deleted"
	DeleteOriginDiffers Kind = "delete_origin_differs"
	DeleteMissing       Kind = "delete_missing"
	MultipleUnique      Kind = "multiple_unique_conflicts"
)

// Kinds lists all kinds.
var Kinds = []Kind{
	InsertExists, UpdateOriginDiffers, UpdateMissing, UpdateDeleted,
	DeleteOriginDiffers, DeleteMissing, MultipleUnique,
}

// KindOf names the conflict of two writes that did not know each other. It looks
// from the newer write at the older one, not from the arriving one at the present
// one: so that every site names the same conflict the same way.
func KindOf(older, newer change.Op) Kind {
	switch {
	case newer == change.Delete && older == change.Delete:
		return DeleteMissing
	case newer == change.Delete:
		return DeleteOriginDiffers
	case older == change.Delete:
		return UpdateDeleted
	case newer == change.Insert:
		return InsertExists
	default:
		return UpdateOriginDiffers
	}
}
