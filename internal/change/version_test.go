package change

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestVersionsAreTotallyOrdered(t *testing.T) {
	version := rapid.Custom(func(t *rapid.T) Version {
		return Version{
			HLC:    rapid.Uint64Range(0, 3).Draw(t, "hlc"),
			Origin: Site(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "origin")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%v and %v compare differently the other way round", a, b)
		}
		if (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v are equal for one and not for the other", a, b)
		}
		if a.Less(b) && b.Less(c) && !a.Less(c) {
			t.Fatalf("%v < %v < %v is not transitive", a, b, c)
		}
	})
}

func TestHLCKeepsMicrosecondsAndOrder(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 5, 6, 789123000, time.UTC)
	if got := HLCTime(HLC(at)); !got.Equal(at) {
		t.Errorf("HLCTime(HLC(%s)) = %s", at, got)
	}
	if HLC(at)+1 >= HLC(at.Add(time.Microsecond)) {
		t.Error("the counter of one microsecond reaches into the next after a single step")
	}
	if got := HLC(time.Unix(-5, 0)); got != 0 {
		t.Errorf("a time before 1970 gives %d, want 0", got)
	}
	if got, want := HLCString(HLC(at)+3), "2026-11-23T04:05:06.789123Z+3"; got != want {
		t.Errorf("HLCString = %q, want %q", got, want)
	}
}
