package capture

import (
	"time"

	"github.com/concord-db/concord/internal/change"
)

// releases lets the source's log go up to what is stored, no sooner than delay after
// the bus has acknowledged it: a bus that acknowledges before it syncs to disk can
// lose that much, and must then find it in the log. It is moved on by every frame
// that is stored; heartbeats see to it that there is one a second.
type releases struct {
	delay   time.Duration
	waiting []release
}

type release struct {
	at       time.Time
	position change.Position
}

// stored takes a position whose frame was acknowledged at now, and returns the
// position that may be released; "" when none may yet.
func (r *releases) stored(p change.Position, now time.Time) (free change.Position) {
	if r.delay == 0 {
		return p
	}
	r.waiting = append(r.waiting, release{now, p})
	n := 0
	for n < len(r.waiting) && now.Sub(r.waiting[n].at) >= r.delay {
		free = r.waiting[n].position
		n++
	}
	r.waiting = r.waiting[n:]
	return free
}
