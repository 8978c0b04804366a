package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// messagePrefix marks logical messages of Concord's own: the apply half emits one
// to learn when capture has read the log up to it.
const messagePrefix = "concord"

// assembler turns the messages of the replication stream into events. It does no
// I/O but for the questions its shaper asks. One goroutine uses it.
type assembler struct {
	site      change.Site
	partBytes int
	shape     func(context.Context, *relationMessage) (*relation, error)

	relations map[uint32]*relation
	slab      slab
	last      lsn // everything committed before it has been returned

	// The transaction that is being read.
	open       bool
	skip       bool // it is a replicated one: what follows the mark is not decoded
	marked     bool
	mark       change.Mark
	commitTime time.Time
	xid        uint64
	heartbeat  time.Time
	rows       []change.Row
	bytes      int // of logged text in rows
	part       int
	probeRow   bool // it brought the row that the server should have filtered

	// probes is told of every probe that was recognised; leaked says its row came along.
	probed func(nonce uint64, leaked bool)
}

// keepalive takes the server's word that everything committed before p has been
// sent. It says nothing while a transaction is being read.
func (a *assembler) keepalive(p lsn) (capture.Event, bool) {
	if a.open {
		return capture.Event{}, false
	}
	return a.progress(p)
}

func (a *assembler) progress(p lsn) (capture.Event, bool) {
	if p <= a.last {
		return capture.Event{}, false
	}
	a.last = p
	return capture.Event{Kind: capture.Progress, Position: p.position()}, true
}

// message takes one pgoutput message. data is only read until it returns.
func (a *assembler) message(ctx context.Context, data []byte) (capture.Event, bool, error) {
	none := capture.Event{}
	if len(data) == 0 {
		return none, false, fmt.Errorf("reading an empty message: %w", errMessage)
	}
	switch data[0] {
	case 'I', 'U', 'D':
		return a.change(data)
	case 'B':
		m, err := parseBegin(&cursor{s: string(data), i: 1})
		if err == nil && a.open {
			err = fmt.Errorf("reading a begin within a transaction: %w", errMessage)
		}
		if err != nil {
			return none, false, err
		}
		a.begin(&m)
		return none, false, nil
	case 'C':
		m, err := parseCommit(&cursor{s: string(data), i: 1})
		if err == nil && !a.open {
			err = fmt.Errorf("reading a commit outside a transaction: %w", errMessage)
		}
		if err != nil {
			return none, false, err
		}
		ev, ok := a.commit(m.end)
		return ev, ok, nil
	case 'R':
		m, err := parseRelation(&cursor{s: string(data), i: 1})
		if err != nil {
			return none, false, err
		}
		r, err := a.shape(ctx, &m)
		if err != nil {
			return none, false, err
		}
		a.relations[m.id] = r
		return none, false, nil
	case 'T':
		return none, false, a.truncate(string(data))
	case 'M':
		m, err := parseLogical(&cursor{s: string(data), i: 1})
		if err != nil {
			return none, false, err
		}
		if m.prefix == messagePrefix && !m.transactional && !a.open {
			ev, ok := a.progress(m.at)
			return ev, ok, nil
		}
		return none, false, nil
	case 'Y', 'O': // types are known from the catalogue, origins from the mark
		return none, false, nil
	}
	return none, false, fmt.Errorf("reading a message of type %q: %w", data[0], errMessage)
}

func (a *assembler) begin(m *beginMessage) {
	a.open, a.skip, a.marked, a.probeRow = true, false, false, false
	a.commitTime, a.xid, a.heartbeat = m.commitTime, uint64(m.xid), time.Time{}
	a.rows, a.bytes, a.part = nil, 0, 0
}

// commit ends the transaction; reading from end on would skip it.
func (a *assembler) commit(end lsn) (capture.Event, bool) {
	a.open = false
	if a.marked && a.mark.Origin == probeName {
		if a.probed != nil {
			a.probed(a.mark.Seq, a.probeRow)
		}
		a.marked, a.rows = false, nil
	}
	switch {
	case a.marked:
		a.last = max(a.last, end)
		return capture.Event{Kind: capture.Replicated, Position: end.position(), Mark: a.mark}, true
	case len(a.rows) > 0 || a.part > 0 || !a.heartbeat.IsZero():
		a.last = max(a.last, end)
		return a.local(end, false), true
	}
	return a.progress(end)
}

// local takes the rows gathered so far as an event.
func (a *assembler) local(at lsn, more bool) capture.Event {
	ev := capture.Event{
		Kind: capture.Local, Position: at.position(), CommitTime: a.commitTime, XID: a.xid,
		Rows: a.rows, Part: a.part, More: more, Heartbeat: a.heartbeat,
	}
	a.rows, a.bytes = nil, 0
	a.part++
	return ev
}

// change reads an insert, update or delete.
func (a *assembler) change(data []byte) (ev capture.Event, ok bool, err error) {
	if !a.open {
		return ev, false, fmt.Errorf("reading a row outside a transaction: %w", errMessage)
	}
	if a.skip {
		return ev, false, nil
	}
	if len(data) < 5 {
		return ev, false, fmt.Errorf("reading a row: %w", errMessage)
	}
	id := uint32(data[1])<<24 | uint32(data[2])<<16 | uint32(data[3])<<8 | uint32(data[4])
	rel := a.relations[id]
	if rel == nil {
		return ev, false, fmt.Errorf("reading a row of the unknown relation %d: %w", id, errMessage)
	}
	if rel.use == useIgnored {
		return ev, false, nil
	}
	op := change.Insert
	switch data[0] {
	case 'U':
		op = change.Update
	case 'D':
		op = change.Delete
	}
	if rel.use == useRows {
		// The part is full: hand it out before this row.
		if a.bytes > 0 && a.bytes+len(data) > a.partBytes {
			ev, ok = a.local(a.last, true), true
		}
		a.bytes += len(data)
	}
	c := cursor{s: string(data), i: 5}
	row, err := a.slab.row(&c, rel, op)
	if err != nil {
		return ev, false, err
	}
	switch rel.use {
	case useRows:
		a.rows = append(a.rows, row)
	case useHeartbeat:
		err = a.heartbeatRow(rel, row.New)
	case useCheckpoint:
		err = a.checkpointRow(rel, row.New)
	}
	return ev, ok, err
}

// heartbeatRow notes this site's heartbeat.
func (a *assembler) heartbeatRow(rel *relation, img []change.Value) error {
	if img == nil {
		return nil
	}
	site, err := field(rel, img, "site")
	if err != nil {
		return err
	}
	switch change.Site(site) {
	case probeName:
		a.probeRow = true
	case a.site:
		beat, err := field(rel, img, "beat")
		if err != nil {
			return err
		}
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", beat)
		if err != nil {
			return fmt.Errorf("reading the heartbeat %q: %w", beat, errMessage)
		}
		a.heartbeat = at.UTC()
	}
	return nil
}

// checkpointRow notes the mark: the transaction is a replicated one.
func (a *assembler) checkpointRow(rel *relation, img []change.Value) error {
	if img == nil {
		return nil // a row removed by hand marks nothing
	}
	var m change.Mark
	origin, err := field(rel, img, "origin")
	if err != nil {
		return err
	}
	m.Origin = change.Site(origin)
	for _, n := range []struct {
		name string
		set  func(uint64)
	}{
		{"epoch", func(v uint64) { m.Epoch = uint32(v) }},
		{"seq", func(v uint64) { m.Seq = v }},
		{"hlc", func(v uint64) { m.HLC = v }},
	} {
		text, err := field(rel, img, n.name)
		if err != nil {
			return err
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("reading %s of the checkpoint of %s: %q: %w", n.name, origin, text, errMessage)
		}
		n.set(uint64(v))
	}
	if a.part > 0 {
		return fmt.Errorf("%w: a replicated transaction (%s %d) wrote more than one part of rows before its mark: its echo was not filtered; run the same version of Concord for capture and apply",
			change.ErrRefused, origin, m.Seq)
	}
	a.mark, a.marked, a.skip = m, true, true
	a.rows, a.bytes = nil, 0
	return nil
}

// field returns a column of a control table.
func field(rel *relation, img []change.Value, name string) (string, error) {
	i := rel.column(name)
	if i < 0 || img[i].State != change.Present {
		return "", fmt.Errorf("%w: %s has no column %s; run concord init", change.ErrRefused, rel.name, name)
	}
	return img[i].Text, nil
}

// truncate notes that tables were emptied.
func (a *assembler) truncate(data string) error {
	ids, err := parseTruncate(&cursor{s: data, i: 1})
	if err != nil {
		return err
	}
	if !a.open {
		return fmt.Errorf("reading a truncate outside a transaction: %w", errMessage)
	}
	if a.skip {
		return nil
	}
	for _, id := range ids {
		rel := a.relations[id]
		if rel == nil {
			return fmt.Errorf("reading a truncate of the unknown relation %d: %w", id, errMessage)
		}
		if rel.use == useRows {
			a.rows = append(a.rows, change.Row{Table: rel.table, Op: change.Truncate})
			a.bytes += 16
		}
	}
	return nil
}
