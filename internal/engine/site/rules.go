package site

import (
	"time"

	"github.com/concord-db/concord/internal/change"
)

// Rules are how a site decides about tables, as this site's database remembers it.
type Rules struct {
	Rules change.Rules
	Since time.Time // they are so, by this database's clock
}
