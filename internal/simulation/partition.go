package simulation

import (
	"math/rand/v2"

	"github.com/concord-db/concord/internal/change"
)

// partition cuts one site off from the others, in both directions, for a while that
// may be as long as the world's life: much is then in flight at once.
type partition struct {
	site      change.Site // "": there is none
	from, end int         // steps of the world
	at        int         // the step under way
}

// drawPartition cuts every third world. It has random numbers of its own.
func (w *World) drawPartition() partition {
	r := rand.New(rand.NewPCG(w.o.Seed, 0x70617274))
	if r.IntN(3) > 0 {
		return partition{}
	}
	from := r.IntN(w.o.Steps)
	return partition{site: w.sites[r.IntN(len(w.sites))].name, from: from, end: from + w.o.Steps/4 + r.IntN(w.o.Steps)}
}

// cuts reports whether nothing passes between two sites now.
func (p *partition) cuts(a, b change.Site) bool {
	return p.site != "" && (p.site == a || p.site == b) && p.from <= p.at && p.at < p.end
}
