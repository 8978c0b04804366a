package crossing

import (
	"context"
	"fmt"
	"sync"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/logical"
)

// Peers translates what sites of other engines send.
type Peers struct {
	engine string
	local  *localTables
	policy func(*change.Table) conflict.Policy
	site   *Site

	mu     sync.Mutex
	shapes map[change.Site]map[string]*change.Table // by origin and table: the one seen last, as the origin has it
}

// NewPeers returns the translator for a site. engine names the engine here as the scheme
// of its dsn does; schema reads the tables here, those too that only others write, in the
// cluster's names; policy gives the rule of a table. It connects nothing.
func NewPeers(engine string, site *Site, schema schemaReader, policy func(*change.Table) conflict.Policy) *Peers {
	return &Peers{engine: engine, local: &localTables{reader: schema}, policy: policy, site: site, shapes: map[change.Site]map[string]*change.Table{}}
}

// Log returns the log of a peer with its rows as the tables here have them. engine is the
// peer's.
func (p *Peers) Log(peer change.Site, engine string, log apply.Log) apply.Log {
	if engine == p.engine {
		return log
	}
	return &peerLog{Log: log, peers: p, pairing: &pairing{from: engine, to: p.engine, peer: peer, policy: p.policy, refused: p.site.refused}}
}

type peerLog struct {
	apply.Log
	peers   *Peers
	pairing *pairing
}

// Open implements apply.Log.
func (l *peerLog) Open(ctx context.Context, epoch uint32, after uint64) (apply.FrameReader, error) {
	r, err := l.Log.Open(ctx, epoch, after)
	if err != nil {
		return nil, err
	}
	return &frameReader{FrameReader: r, log: l, byShape: map[uint64]*translation{}}, nil
}

// frameReader translates frame by frame.
type frameReader struct {
	apply.FrameReader
	log        *peerLog
	generation int
	byShape    map[uint64]*translation
}

// Next implements apply.FrameReader.
func (r *frameReader) Next(ctx context.Context) (*change.Frame, error) {
	f, err := r.FrameReader.Next(ctx)
	if err != nil {
		return nil, err
	}
	for i := range f.Transactions {
		if err := r.rows(ctx, f.Transactions[i].Rows); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (r *frameReader) rows(ctx context.Context, rows []change.Row) error {
	if len(rows) == 0 {
		return nil
	}
	generation, err := r.log.peers.local.fresh(ctx)
	if err != nil {
		return err
	}
	if generation != r.generation {
		clear(r.byShape)
		r.generation = generation
	}
	var of *change.Table
	var t *translation
	for i := range rows {
		if rows[i].Table != of {
			of = rows[i].Table
			if t, err = r.translation(ctx, of); err != nil {
				return err
			}
		}
		t.row(&rows[i])
	}
	return nil
}

func (r *frameReader) translation(ctx context.Context, shape *change.Table) (*translation, error) {
	if t := r.byShape[shape.ID]; t != nil {
		return t, nil
	}
	p := r.log.peers
	p.note(r.log.pairing.peer, shape)
	t, err := r.translate(ctx, shape, false)
	if err == nil && p.site.refused.of(t.table) != nil { // someone may have altered the table
		t, err = r.translate(ctx, shape, true)
	}
	return t, err
}

func (r *frameReader) translate(ctx context.Context, shape *change.Table, doubted bool) (*translation, error) {
	local, err := r.log.peers.local.table(ctx, shape.QualifiedName(), doubted)
	if err != nil {
		return nil, err
	}
	t := r.log.pairing.translate(shape, local)
	if local != nil && r.log.peers.site.refused.of(t.table) == nil { // else it may come right
		r.byShape[shape.ID] = t
	}
	return t, nil
}

func (p *Peers) note(peer change.Site, shape *change.Table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shapes[peer] == nil {
		p.shapes[peer] = map[string]*change.Table{}
	}
	p.shapes[peer][shape.QualifiedName()] = shape
}

// Requests gives requests for rows in the form that a peer has them in. An error says that
// nothing of the table has come from there yet.
func (p *Peers) Requests(peer change.Site, engine string, requests []change.RowRequest) ([]change.RowRequest, error) {
	if engine == p.engine {
		return requests, nil
	}
	out := make([]change.RowRequest, len(requests))
	for i, q := range requests {
		name := q.Table.QualifiedName()
		p.mu.Lock()
		theirs := p.shapes[peer][name]
		p.mu.Unlock()
		if theirs == nil {
			return nil, fmt.Errorf("asking %s for rows of %s: nothing of the table has been read from there since this agent began", peer, name)
		}
		table, key := *q.Table, make([]change.Value, len(q.Key))
		table.Columns = make([]change.Column, len(q.Table.Columns))
		for j, c := range q.Table.Columns {
			at := theirs.Column(c.Name)
			if at < 0 {
				return nil, fmt.Errorf("asking %s for rows of %s: the table has no column %s there", peer, name, c.Name)
			}
			table.Columns[j], key[j] = theirs.Columns[at], q.Key[j]
			from, to := logical.Of(p.engine, c), logical.Of(engine, theirs.Columns[at])
			if convert := logical.Converter(from, to); convert != nil && key[j].State == change.Present {
				text, err := convert(key[j].Text)
				if err != nil {
					return nil, fmt.Errorf("asking %s for rows of %s: %w", peer, name, err)
				}
				key[j].Text = text
			}
		}
		out[i] = q
		out[i].Table, out[i].Key = table.Seal(), key
	}
	return out, nil
}
