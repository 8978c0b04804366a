package conflict

import (
	"sort"

	"github.com/concord-db/concord/internal/change"
)

// place puts wr into writes, which are in version order, and returns its index. A write
// of the same transaction that is there already becomes the net effect of the two.
func place(writes []*Write, wr *Write) ([]*Write, int) {
	at := after(writes, wr.Tx.Version())
	if at > 0 && writes[at-1].Tx.Version() == wr.Tx.Version() {
		writes[at-1] = writes[at-1].Then(wr)
		return writes, at - 1
	}
	writes = append(writes, nil)
	copy(writes[at+1:], writes[at:])
	writes[at] = wr
	return writes, at
}

// placeAll puts es, which are in version order too, into writes and returns the index
// of the last. The cost is that of one pass over what is behind the first of them.
func placeAll(writes, es []*Write) ([]*Write, int) {
	if len(es) == 1 {
		return place(writes, es[0])
	}
	from := after(writes, es[0].Tx.Version())
	if from > 0 && writes[from-1].Tx.Version() == es[0].Tx.Version() {
		from--
	}
	behind := append([]*Write(nil), writes[from:]...)
	writes = writes[:from]
	at := -1
	for _, e := range es {
		for len(behind) > 0 && !e.Tx.Version().Less(behind[0].Tx.Version()) {
			writes, behind = append(writes, behind[0]), behind[1:]
		}
		if n := len(writes); n > 0 && writes[n-1].Tx.Version() == e.Tx.Version() {
			writes[n-1] = writes[n-1].Then(e)
		} else {
			writes = append(writes, e)
		}
		at = len(writes) - 1
	}
	return append(writes, behind...), at
}

// after returns the index of the first write behind version v.
func after(writes []*Write, v change.Version) int {
	n := len(writes)
	if n == 0 || !v.Less(writes[n-1].Tx.Version()) {
		return n // what comes is mostly the latest
	}
	return sort.Search(n, func(i int) bool { return v.Less(writes[i].Tx.Version()) })
}

// holds reports whether writes has one at version v.
func holds(writes []*Write, v change.Version) bool {
	at := after(writes, v)
	return at > 0 && writes[at-1].Tx.Version() == v
}

// notKnown returns the last of es, which are of one origin in order, that did not know h
// while h did not know it either; nil: there is none. Of such writes those that did not
// know h come before those that did, and those that h knew before those that it did not.
func notKnown(es []*Write, h *Write) *Write {
	if es[0].Tx.Origin == h.Tx.Origin {
		return nil
	}
	n := sort.Search(len(es), func(i int) bool { return es[i].Tx.Saw(h.Tx) })
	if n == 0 || h.Tx.Saw(es[n-1].Tx) {
		return nil
	}
	return es[n-1]
}
