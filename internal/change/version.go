package change

import (
	"cmp"
	"fmt"
	"time"
)

// Site names one data centre: one writable database, its agents and its bus.
type Site string

// Position is a place in one database's log: opaque outside the engine that made
// it. Resuming after a transaction's Position skips that transaction. The empty
// Position is before everything.
type Position string

// Version orders all writes of all sites totally and consistently with
// causality: a write that followed another in some site's log has the greater
// Version. The origin breaks ties.
type Version struct {
	HLC    uint64 // hybrid logical clock, see HLC
	Origin Site
}

// Compare returns -1, 0 or 1.
func (v Version) Compare(w Version) int {
	if c := cmp.Compare(v.HLC, w.HLC); c != 0 {
		return c
	}
	return cmp.Compare(v.Origin, w.Origin)
}

// Less reports whether v is before w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// IsZero reports whether v is no version at all.
func (v Version) IsZero() bool { return v == Version{} }

func (v Version) String() string { return fmt.Sprintf("%s@%s", HLCString(v.HLC), v.Origin) }

// hlcCounterBits is the width of the counter below the microseconds of a hybrid
// logical clock reading.
const hlcCounterBits = 8

// HLC returns the hybrid logical clock reading of a wall clock time: microseconds
// since 1970 shifted left by 8, counter zero. Times before 1970 give 0.
func HLC(t time.Time) uint64 {
	us := t.UnixMicro()
	if us < 0 {
		return 0
	}
	return uint64(us) << hlcCounterBits
}

// HLCTime returns the wall clock part of a hybrid logical clock reading.
func HLCTime(hlc uint64) time.Time {
	return time.UnixMicro(int64(hlc >> hlcCounterBits)).UTC()
}

// HLCString renders a reading as its time and, when not zero, its counter.
func HLCString(hlc uint64) string {
	s := HLCTime(hlc).Format("2006-01-02T15:04:05.000000Z")
	if n := hlc & (1<<hlcCounterBits - 1); n != 0 {
		s += fmt.Sprintf("+%d", n)
	}
	return s
}
