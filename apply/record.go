package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// recordMet records the conflicts of a key, the same way at every site. parked says why
// nobody decides; "": the rule has, or says itself why it could not.
func (t *try) recordMet(k *keyWork, parked string) {
	arrived := arrivalsOf(k.es)
	for i := range k.decision.Pairs {
		c := t.l.conflictOf(k, &k.decision.Pairs[i], parked)
		if !c.truncates() {
			c.Arrived, arrived = arrived, nil
		}
		t.out.conflicts = append(t.out.conflicts, c)
	}
}

// arrivalsOf are writes of one origin, in order, by what they knew: the last of each that
// had seen the same of others.
func arrivalsOf(es []*conflict.Write) []Arrival {
	var out []Arrival
	for i, e := range es {
		if i+1 < len(es) && maps.Equal(e.Tx.Seen, es[i+1].Tx.Seen) {
			continue
		}
		out = append(out, Arrival{Origin: e.Tx.Origin, Seq: e.Tx.Seq, Seen: e.Tx.Seen})
	}
	return out
}

func (l *Link) conflictOf(k *keyWork, p *conflict.Pair, parked string) Conflict {
	table := p.Newer.Table
	if table == nil {
		table = k.table
	}
	policy := l.agent.o.Policy(k.table)
	older, newer, base, result := p.Rows(table)
	c := Conflict{
		Table: table, Row: k.key, Kind: string(conflict.KindOf(p.Older.Op, p.Newer.Op)), Policy: policy.String(),
		Older: k.side(p.Older, older), Newer: k.side(p.Newer, newer),
		Base: base, BaseKnown: p.Known, Result: result, Again: p.Again, Time: time.Now(),
	}
	c.Key = keyImage(table, c.Newer.Image, c.Older.Image, k.image)
	switch {
	case parked != "":
		c.Result, c.Resolution, c.Message = nil, "parked", parked
	case p.Result.Err != nil:
		c.Result, c.Resolution, c.Message = nil, "parked", p.Result.Err.Error()
	case policy.VersionsOnly() && len(table.Unique) == 0:
		c.Result, c.Resolution = c.Newer.Image, "newer"
	default:
		c.Resolution = resolutionOf(&c)
	}
	return c
}

// keyImage is the first image that names the row.
func keyImage(t *change.Table, images ...[]change.Value) []change.Value {
	for _, image := range images {
		if image != nil && !slices.ContainsFunc(t.Key, func(i int) bool { return i >= len(image) || image[i].State == change.Unchanged }) {
			return image
		}
	}
	return images[len(images)-1]
}

// side is a write as it is recorded. Where the window keeps no images its row is the one
// that stands here when no other write in flight is later.
func (k *keyWork) side(w *conflict.Write, image []change.Value) Side {
	s := sideOf(w, image)
	row := orElse(k.current, k.vacated)
	if image != nil || w.Op == change.Delete || row == nil || s.Version != k.decision.Stands {
		return s
	}
	s.Standing, s.Image = true, row
	if k.table.Full || k.decision.Lacks == 0 {
		return s
	}
	s.Image = slices.Clone(row)
	for i := range min(len(s.Image), 64) {
		if k.decision.Lacks&(1<<i) != 0 {
			s.Image[i] = change.Value{} // as other sites have it
		}
	}
	return s
}

func sideOf(w *conflict.Write, image []change.Value) Side {
	s := Side{Version: w.Tx.Version(), Seq: w.Tx.Seq, Seen: w.Tx.Seen, XID: w.Tx.XID, Op: w.Op, Image: image}
	if w.Truncates() {
		s.Op = change.Truncate
	}
	if w.Tx.Commit != 0 {
		s.Commit = time.UnixMicro(w.Tx.Commit).UTC()
	}
	return s
}

func resolutionOf(c *Conflict) string {
	switch {
	case sameImage(c.Result, c.Newer.Image):
		return "newer"
	case sameImage(c.Result, c.Older.Image):
		return "older"
	}
	return "merged"
}

// recordCollisions records which row has a value of a unique key now and which does not,
// what of it is otherwise since the transaction is there, and what other rows met that
// reads otherwise since.
func (t *try) recordCollisions() {
	if t.joint == nil {
		return
	}
	for _, o := range t.joint.again {
		t.recordMet(&keyWork{key: o.Key, table: o.Table, image: o.Image, decision: conflict.Decision{Pairs: o.Pairs}}, "")
	}
	for i := range t.joint.withdrawn {
		c := t.l.collisionOf(&t.joint.withdrawn[i])
		c.Withdrawn = true
		t.out.conflicts = append(t.out.conflicts, c)
	}
	for i := range t.joint.collisions {
		t.out.conflicts = append(t.out.conflicts, t.l.collisionOf(&t.joint.collisions[i]))
	}
}

func (l *Link) collisionOf(c *conflict.Collision) Conflict {
	table := c.TakerWrite.Table
	taker := sideOf(c.TakerWrite, c.TakerState.Image)
	holder := Side{Image: c.HeldState.Image}
	if c.HeldWrite != nil {
		holder = sideOf(c.HeldWrite, c.HeldState.Image)
	}
	r := Conflict{
		Table: table, Key: c.TakerState.Image, Row: c.Taker, Other: c.Holder, Unique: c.Unique.Name, Kind: string(conflict.MultipleUnique),
		Policy: l.agent.o.Policy(table).String(), Older: holder, Newer: taker,
		Result: c.TakerState.Image, Resolution: "newer", Time: time.Now(),
	}
	if c.Refused {
		r.Result, r.Resolution = c.HeldState.Image, "older"
	}
	return r
}

// disputed is why nobody decides, when the sites would not decide alike.
func disputed(err error) string {
	if errors.Is(err, ErrRulesDiffer) {
		return err.Error()
	}
	return ""
}

// lacking returns those of conflicts that are not recorded.
func (l *Link) lacking(ctx context.Context, conflicts []Conflict) ([]Conflict, error) {
	target, ok := l.agent.target.(Recorder)
	if !ok || len(conflicts) == 0 {
		return nil, nil
	}
	there, err := target.Recorded(ctx, conflicts)
	if err != nil {
		return nil, fmt.Errorf("asking which conflicts are recorded: %w", err)
	}
	var out []Conflict
	for i, c := range conflicts {
		if !there[i] {
			out = append(out, c)
		}
	}
	return out, nil
}
