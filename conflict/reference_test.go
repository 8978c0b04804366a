package conflict_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
)

// This file is the account of the policies that the windows of shop_test.go are
// compared with: each in the plain words of its rule, over everything that was ever
// written to a key, with nothing shortened and nothing remembered between steps. It
// shares no code with the fold.

// item is a row: its columns behind the key. nil: there is none.
type item map[string]string

var itemColumns = []string{"count", "low", "high", "tags", "note"}

// did is what one transaction did to one row.
type did struct {
	origin   change.Site
	seq, hlc uint64
	seen     change.Seen
	op       change.Op
	old, now item
}

func (w *did) saw(o *did) bool {
	if o.origin == w.origin {
		return o.seq < w.seq
	}
	return w.seen[o.origin] >= o.seq
}

func (w *did) changed(column string) bool {
	return w.op != change.Update || w.old[column] != w.now[column]
}

// unknown are those of earlier that w did not know.
func (w *did) unknown(earlier []*did) (out []*did) {
	for _, o := range earlier {
		if !w.saw(o) {
			out = append(out, o)
		}
	}
	return out
}

// reference makes a row of everything that was written to it, in version order.
func reference(p conflict.Policy, all []*did) item {
	slices.SortFunc(all, func(a, b *did) int {
		if a.hlc != b.hlc {
			return int(a.hlc) - int(b.hlc)
		}
		return strings.Compare(string(a.origin), string(b.origin))
	})
	var state item
	states := []item{nil} // before each write
	for i, w := range all {
		state = stepOf(p, state, w, all[:i], func() item { return states[bothKnew(all, i)] })
		states = append(states, state)
	}
	return state
}

// bothKnew is the last point of the list that the write at i and all behind it knew whole.
func bothKnew(all []*did, i int) int {
	for n := i; n > 0; n-- {
		knew := true
		for _, w := range all[n : i+1] {
			knew = knew && len(w.unknown(all[:n])) == 0
		}
		if knew {
			return n
		}
	}
	return 0
}

func stepOf(p conflict.Policy, state item, w *did, earlier []*did, base func() item) item {
	met := w.unknown(earlier)
	if len(met) == 0 {
		return w.now
	}
	isDelete := func(o *did) bool { return o.op == change.Delete }
	againstDelete := w.op == change.Update && state == nil
	againstUpdate := w.op == change.Delete && slices.ContainsFunc(met, func(o *did) bool { return !isDelete(o) })
	switch {
	case p.Deletes == conflict.DeleteWins && (againstDelete || againstUpdate):
		return nil
	case p.Deletes == conflict.UpdateWins && againstDelete:
		return w.now
	case p.Deletes == conflict.UpdateWins && againstUpdate:
		return state
	case p.Base == conflict.FirstWriteWins:
		return state
	case p.Base == conflict.Prefer && w.origin != p.Site && slices.ContainsFunc(met, func(o *did) bool { return o.origin == p.Site }):
		return state
	case p.Base == conflict.Prefer || state == nil || w.now == nil:
		return w.now
	case p.Resolver != nil:
		return strange(state, w.now, base())
	case p.Columns != nil:
		row := item{}
		for _, c := range itemColumns {
			row[c] = columnOf(p.Columns.Of(c), c, state, w, met, base)
		}
		return row
	}
	return w.now
}

func columnOf(rule conflict.ColumnRule, c string, state item, w *did, met []*did, base func() item) string {
	if !w.changed(c) {
		return state[c]
	}
	met = slices.DeleteFunc(slices.Clone(met), func(o *did) bool { return !o.changed(c) })
	mine := w.now[c]
	switch rule.Kind {
	case conflict.ColumnSum:
		return fmt.Sprint(number(state[c]) + number(mine) - number(w.old[c]))
	case conflict.ColumnUnion:
		return unionOf(elements(state[c]), elements(w.old[c]), elements(mine))
	case conflict.ColumnLast:
		return mine
	}
	switch {
	case len(met) == 0:
		return mine
	case rule.Kind == conflict.ColumnFirst:
		return state[c]
	case rule.Kind == conflict.ColumnPrefer && w.origin != rule.Site && slices.ContainsFunc(met, func(o *did) bool { return o.origin == rule.Site }):
		return state[c]
	case rule.Kind == conflict.ColumnMin:
		return fmt.Sprint(min(number(state[c]), number(mine)))
	case rule.Kind == conflict.ColumnMax:
		return fmt.Sprint(max(number(state[c]), number(mine)))
	case rule.Kind == conflict.ColumnResolver:
		return stir(state[c], mine, base()[c])
	}
	return mine
}

// unionOf is state without what went and with what came between old and now.
func unionOf(state, old, now []string) string {
	state = slices.DeleteFunc(state, func(e string) bool { return slices.Contains(old, e) && !slices.Contains(now, e) })
	for _, e := range now {
		if !slices.Contains(old, e) && !slices.Contains(state, e) {
			state = append(state, e)
		}
	}
	return "{" + strings.Join(state, ",") + "}"
}

func elements(set string) []string {
	if set = strings.Trim(set, "{}"); set == "" {
		return nil
	}
	return strings.Split(set, ",")
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // of no row: 0
	return n
}

// stir makes a text of its parts: it is neither symmetric nor associative.
func stir(parts ...string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.Join(parts, "|")))
	return fmt.Sprintf("%08x", h.Sum32())
}

// strange is a rule for rows that now and then removes one.
func strange(older, newer, base item) item {
	note := stir(fmt.Sprint(older), fmt.Sprint(newer), fmt.Sprint(base))
	if note[0] == '0' {
		return nil
	}
	out := maps.Clone(newer)
	out["note"], out["count"] = note, older["count"]
	return out
}
