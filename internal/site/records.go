package site

import (
	"context"
	"time"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// ParkedRecord is a parked change as people see it.
type ParkedRecord struct {
	ID      int64              `json:"id"`
	At      time.Time          `json:"at"`
	From    string             `json:"from"`
	Seq     uint64             `json:"seq"`
	Version string             `json:"version"`
	Table   string             `json:"table"`
	Op      string             `json:"op"`
	Key     map[string]*string `json:"key"`
	Old     map[string]*string `json:"old,omitempty"`
	New     map[string]*string `json:"new,omitempty"`
	Reason  string             `json:"reason"`
	Message string             `json:"message"`
	Behind  bool               `json:"behind"`
}

// Record renders a parked change.
func Record(p *apply.Parked) ParkedRecord {
	r := &p.Row
	out := ParkedRecord{
		ID: p.ID, At: p.Time, From: string(p.Origin), Seq: p.Seq,
		Version: change.Version{HLC: p.HLC, Origin: p.Origin}.String(),
		Table:   r.Table.QualifiedName(), Op: r.Op.String(), Reason: p.Reason, Message: p.Message, Behind: p.Behind,
	}
	if key := r.Key(); key != nil {
		out.Key = map[string]*string{}
		for _, i := range r.Table.Key {
			out.Key[r.Table.Columns[i].Name] = &key[i].Text
		}
	}
	out.Old, out.New = image(r.Table, r.Old), image(r.Table, r.New)
	return out
}

// image renders what an image carries; null as nil.
func image(t *change.Table, values []change.Value) map[string]*string {
	if values == nil {
		return nil
	}
	out := map[string]*string{}
	for i := range values {
		switch values[i].State {
		case change.Null:
			out[t.Columns[i].Name] = nil
		case change.Present:
			out[t.Columns[i].Name] = &values[i].Text
		}
	}
	return out
}

// Conflicts implements httpapi.Source.
func (v *View) Conflicts(ctx context.Context, f enginesite.ConflictFilter) (enginesite.ConflictPage, error) {
	return v.Site.db.ListConflicts(ctx, f)
}

// Conflict implements httpapi.Source.
func (v *View) Conflict(ctx context.Context, id int64) (enginesite.Conflict, error) {
	return v.Site.db.Conflict(ctx, id)
}

// Parked implements httpapi.Source.
func (v *View) Parked(ctx context.Context, after int64, limit int) (any, error) {
	all, err := v.Site.db.Parked(ctx)
	if err != nil {
		return nil, err
	}
	out := []ParkedRecord{}
	for i := range all {
		if all[i].ID > after && len(out) < limit {
			out = append(out, Record(&all[i]))
		}
	}
	return out, nil
}
