package apply

import (
	"context"
	"testing"

	"github.com/concord-db/concord/conflict"
)

// parkingTarget parks a change while it is asked what is parked.
type parkingTarget struct {
	Target
	rows   []Parked
	during func()
}

func (t *parkingTarget) Parked(context.Context) ([]Parked, error) {
	rows := t.rows
	if t.during != nil {
		t.during()
		t.during = nil
	}
	return rows, nil
}

func parkedInsert(key string) Parked { return Parked{Row: insert(key, "1", "1")} }

func blocked(p *parkedKeys, key string) bool {
	k, _ := conflict.KeyOf(stock, image(key, "1", "1"), nil)
	return p.blocks(stock, k)
}

func TestAChangeParkedWhileParkedOnesAreReadIsNotForgotten(t *testing.T) {
	p := newParkedKeys()
	target := &parkingTarget{}
	target.during = func() {
		target.rows = []Parked{parkedInsert("a")} // it commits
		p.add(target.rows)
	}
	if err := p.load(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if !blocked(p, "a") {
		t.Error("what follows on it would be applied before it")
	}
	target.rows = nil // a person has settled it
	if err := p.load(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if blocked(p, "a") {
		t.Error("it is still waited for")
	}
}

func TestNothingWaitsBehindAChangeThatWasSettled(t *testing.T) {
	p := newParkedKeys()
	p.add([]Parked{parkedInsert("a"), parkedInsert("b")})
	target := &parkingTarget{rows: []Parked{parkedInsert("b")}}
	work := func(key string) []*keyWork {
		k, _ := conflict.KeyOf(stock, image(key, "1", "1"), nil)
		return []*keyWork{{table: stock, key: k}}
	}
	if err := p.reload(t.Context(), target, work("c")); err != nil || !blocked(p, "a") {
		t.Errorf("what waits for nothing reads nothing: %v", err)
	}
	if err := p.reload(t.Context(), target, work("a")); err != nil || blocked(p, "a") || !blocked(p, "b") {
		t.Errorf("a %t, b %t, %v", blocked(p, "a"), blocked(p, "b"), err)
	}
}
