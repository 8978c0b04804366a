package simulation

import (
	"reflect"
	"testing"
)

// States that differ in anything but the order of a map have different fingerprints.
func TestFingerprintsTellStatesApart(t *testing.T) {
	of := func(v any) uint64 {
		h := hasher{on: map[uintptr]bool{}}
		return h.of(reflect.ValueOf(v))
	}
	type pair struct{ a, b any }
	for _, c := range []pair{
		{[]int{1, 2}, []int{2, 1}},
		{map[int]int{1: 1}, map[int]int{2: 2}},
		{map[int]int{1: 2}, map[int]int{2: 1}},
		{[]string{"ab", ""}, []string{"a", "b"}},
		{struct{ A, B *int }{nil, new(int)}, struct{ A, B *int }{new(int), nil}},
		{[]uint64(nil), []uint64{0}},
	} {
		if of(c.a) == of(c.b) {
			t.Errorf("%v and %v look alike", c.a, c.b)
		}
	}
	if of(map[string]int{"a": 1, "b": 2, "c": 3}) != of(map[string]int{"c": 3, "b": 2, "a": 1}) {
		t.Error("the order of a map tells it apart from itself")
	}
}

// Who reads a stream that has crashed since is told so; who opened it afterwards reads on.
func TestAReaderFromBeforeACrashLooksUnlikeOneFromAfterIt(t *testing.T) {
	f := newFrames()
	open := func() any {
		r, err := f.Open(t.Context(), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	of := func(v any) uint64 {
		h := hasher{on: map[uintptr]bool{}}
		return h.of(reflect.ValueOf(v))
	}
	before := open()
	f.crash(0)
	if of(before) == of(open()) {
		t.Error("they look alike")
	}
}
