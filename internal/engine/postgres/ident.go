package postgres

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/internal/change"
)

const (
	controlSchema   = "concord"
	publicationName = "concord"

	// originLanes is how many replication origins init creates for each peer; apply
	// creates those that are missing when it starts.
	originLanes = defaultLanes

	// probeName is the origin and the site of the start-up probe. No site may be
	// called so: site names begin with a letter.
	probeName = "_probe"

	maxIdentifier = 63 // NAMEDATALEN - 1
)

// quote returns a name as an SQL identifier.
func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal returns text as an SQL string constant.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// slotName is the name of the replication slot of a site: "concord_CLUSTER_SITE"
// of the letters a slot may have. Where that loses something, a hash keeps names
// apart.
func slotName(cluster string, site change.Site) string {
	return sanitise("concord_"+cluster+"_"+string(site), maxIdentifier)
}

// originName is the name of the replication origin that a lane of apply uses while
// it writes rows of another site. Origins belong to the whole server, so the name
// says which site's database it is for.
func (db *DB) originName(origin change.Site, lane int) string {
	return fmt.Sprintf("%s_%s_%d", db.slot(), origin, lane)
}

// probeOrigin is the replication origin of the start-up probe.
func (db *DB) probeOrigin() string { return db.slot() + probeName }

// sanitise makes name of lower case letters, digits and underscores, at most limit
// long. A name that had to change ends in a hash of what it was.
func sanitise(name string, limit int) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteRune(c)
		} else {
			b.WriteByte('_')
		}
	}
	clean := b.String()
	if clean == name && len(clean) <= limit {
		return clean
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	suffix := fmt.Sprintf("_%08x", h.Sum32())
	if len(clean) > limit-len(suffix) {
		clean = clean[:limit-len(suffix)]
	}
	return clean + suffix
}
