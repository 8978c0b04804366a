package stream

import (
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// StreamName is the JetStream stream that holds what site published.
func StreamName(cluster string, site change.Site) string {
	return "CONCORD_" + token(cluster) + "_" + token(string(site))
}

// CopyName is the JetStream stream at site that holds its copy of origin's stream.
func CopyName(cluster string, site, origin change.Site) string {
	return StreamName(cluster, site) + "_FROM_" + token(string(origin))
}

// subject returns a subject of a site: concord.<cluster>.<site>.<what>.
func subject(cluster string, site change.Site, what ...string) string {
	parts := append([]string{"concord", token(cluster), token(string(site))}, what...)
	return strings.Join(parts, ".")
}

func framesSubject(cluster string, site change.Site) string { return subject(cluster, site, "frames") }

func copySubject(cluster string, site, origin change.Site) string {
	return subject(cluster, site, "from", token(string(origin)))
}

// token writes a name so that it is one token of a subject and a legal part of a
// stream name, and so that different names stay different: letters, digits and
// the dash stand for themselves, every other byte is =XX.
func token(name string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			b.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
