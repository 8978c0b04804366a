package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

// rowRequest is a change.RowRequest on the bus. Values of keys may be any bytes.
type rowRequest struct {
	Schema  string      `json:"schema"`
	Table   string      `json:"table"`
	Columns []rowColumn `json:"columns"`
	HLC     uint64      `json:"hlc,string"`
	Origin  change.Site `json:"origin"`
	Seen    change.Seen `json:"seen"`
}

type rowColumn struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Kind      change.Kind `json:"kind"`
	Collation string      `json:"collation,omitempty"`
	Null      bool        `json:"null,omitempty"`
	Text      []byte      `json:"text,omitempty"`
}

type rowReplies struct {
	Replies []change.RowReply `json:"replies"`
	Error   string            `json:"error,omitempty"`
}

// errRows: a request for rows that cannot be read, or was not answered.
var errRows = errors.New("rows")

// ServeRows answers who asks site for rows to be published again, until ctx ends. give is
// apply.Agent.GiveRows.
func ServeRows(ctx context.Context, b *Bus, cluster string, site change.Site, give func(context.Context, []change.RowRequest) ([]change.RowReply, error)) error {
	return serve(ctx, b, subject(cluster, site, "rows"), func(ctx context.Context, data []byte) []byte {
		var reply rowReplies
		requests, err := readRows(data)
		if err == nil {
			reply.Replies, err = give(ctx, requests)
		}
		if err != nil {
			reply = rowReplies{Error: err.Error()}
		}
		out, err := json.Marshal(reply)
		if err != nil {
			return nil
		}
		return out
	})
}

func readRows(data []byte) ([]change.RowRequest, error) {
	var asked []rowRequest
	if err := json.Unmarshal(data, &asked); err != nil {
		return nil, fmt.Errorf("reading a request for %w: %w", errRows, err)
	}
	requests := make([]change.RowRequest, len(asked))
	for i, a := range asked {
		if a.Table == "" || len(a.Columns) == 0 {
			return nil, fmt.Errorf("reading a request for %w: number %d names no row", errRows, i)
		}
		t := &change.Table{Schema: a.Schema, Name: a.Table}
		r := &requests[i]
		for j, c := range a.Columns {
			t.Columns, t.Key = append(t.Columns, change.Column{Name: c.Name, Type: c.Type, Kind: c.Kind, Collation: c.Collation}), append(t.Key, j)
			if c.Null {
				r.Key = append(r.Key, change.NullValue())
			} else {
				r.Key = append(r.Key, change.TextValue(string(c.Text)))
			}
		}
		r.Table, r.Above, r.Seen = t.Seal(), change.Version{HLC: a.HLC, Origin: a.Origin}, a.Seen
	}
	return requests, nil
}

// AskRows asks site, over b, a connection to its bus, to publish rows again. It returns a
// reply for each request.
func AskRows(ctx context.Context, b *Bus, cluster string, site change.Site, requests []change.RowRequest) ([]change.RowReply, error) {
	asked := make([]rowRequest, len(requests))
	for i := range requests {
		r := &requests[i]
		a := &asked[i]
		a.Schema, a.Table, a.HLC, a.Origin, a.Seen = r.Table.Schema, r.Table.Name, r.Above.HLC, r.Above.Origin, r.Seen
		for j, c := range r.Table.Columns {
			a.Columns = append(a.Columns, rowColumn{Name: c.Name, Type: c.Type, Kind: c.Kind, Collation: c.Collation, Null: r.Key[j].State == change.Null, Text: []byte(r.Key[j].Text)})
		}
	}
	var reply rowReplies
	if err := ask(ctx, b, subject(cluster, site, "rows"), asked, &reply); err != nil {
		return nil, fmt.Errorf("asking site %s for %w: %w", site, errRows, err)
	}
	switch {
	case reply.Error != "":
		return nil, fmt.Errorf("asking site %s for %w: it says: %s", site, errRows, reply.Error)
	case len(reply.Replies) != len(requests):
		return nil, fmt.Errorf("asking site %s for %w: %d replies to %d requests", site, errRows, len(reply.Replies), len(requests))
	}
	return reply.Replies, nil
}
