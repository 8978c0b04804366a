package stream

import (
	"slices"
	"testing"
)

// A stream that was let grow keeps its limit for as long as what it holds needs it,
// and goes back to the one of the configuration when it was trimmed. A limit below
// what is stored takes nothing away.
func TestALimitFollowsWhatIsHeld(t *testing.T) {
	s := newSite(t, "mumbai")
	ctx := testContext(t)
	l := NewLog(s.bus, "shop", "mumbai", "mumbai")
	limit := func() int64 {
		t.Helper()
		st, err := l.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st.MaxBytes
	}
	publish(t, s.publisher(PublisherOptions{MaxBytes: 1 << 20}), run("mumbai", 1, 20), run("mumbai", 21, 40))
	st, err := l.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	held := int64(st.Bytes)

	if err := l.SetMaxBytes(ctx, 4*held); err != nil {
		t.Fatal(err)
	}
	publish(t, s.publisher(PublisherOptions{MaxBytes: held}), run("mumbai", 41, 60))
	if got := limit(); got != 4*held {
		t.Errorf("limit %d while more than half of %d is held, want %d as it was let grow", got, held, 4*held)
	}
	if err := l.Trim(ctx, 60); err != nil {
		t.Fatal(err)
	}
	publish(t, s.publisher(PublisherOptions{MaxBytes: 2 * held}), run("mumbai", 61, 80))
	if got := limit(); got != 2*held {
		t.Errorf("limit %d after the stream was trimmed, want %d", got, 2*held)
	}
	if err := l.SetMaxBytes(ctx, 100); err != nil {
		t.Fatal(err)
	}
	if got := seqs(read(t, l, 59, 80)); !slices.Equal(got, sequence(60, 80)) {
		t.Errorf("kept %v", got)
	}
	publish(t, s.publisher(PublisherOptions{MaxBytes: 8 * held}), run("mumbai", 81, 90))
	if got := limit(); got != 8*held {
		t.Errorf("limit %d after it was raised, want %d", got, 8*held)
	}
}
