package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// assembler turns the events of the log into those of capture. It does no I/O but for
// the questions its shaper asks. One goroutine uses it.
type assembler struct {
	site      change.Site
	partBytes int
	shape     *shaper

	at    position // as far as has been read; gtids as far as it is before the transaction
	gtids gtidSet
	last  change.Position // everything committed before it has been returned
	place position        // last, taken apart

	relations map[string]*relation // by the whole table map
	tables    map[uint64]*relation // of the current statement, by number
	slab      slab

	// The transaction that is being read.
	open       bool // a GTID has been read
	begun      bool // its end is a commit; else it is one statement
	skip       bool // it is a replicated one: what follows the mark is not decoded
	marked     bool
	mark       change.Mark
	commitTime time.Time
	heartbeat  time.Time
	rows       []change.Row
	bytes      int // of the log in rows
	part       int
	probeRow   bool
	savepoints map[string]savepoint

	// probed is told of every probe that was recognised; leaked says its row came along.
	probed func(nonce uint64, leaked bool)
}

// savepoint is how much of a transaction stood before it.
type savepoint struct {
	part, rows int
}

// advance takes the end of an event from its header. Large files wrap the 32 bits that
// there are. MariaDB 11.4 and later leave it out within transactions: then the size of
// the event counts, which is the same on the wire as in the file.
func (a *assembler) advance(h *replication.EventHeader) {
	if h.Flags&replication.LOG_EVENT_ARTIFICIAL_F != 0 {
		return
	}
	if h.LogPos == 0 {
		if a.open {
			a.at.offset += uint64(h.EventSize)
		}
		return
	}
	a.at.offset = widen(a.at.offset, h.LogPos)
}

// widen finds the offset at or after before whose low 32 bits are low.
func widen(before uint64, low uint32) uint64 {
	at := before&^0xffffffff | uint64(low)
	if at < before && before-at > 1<<31 {
		at += 1 << 32
	}
	return at
}

// progress says that everything up to where the log has been read has been returned.
func (a *assembler) progress() (capture.Event, bool) {
	if a.open || a.at.file == "" || a.place.file != "" && comparePlaces(a.at, a.place) <= 0 {
		return capture.Event{}, false
	}
	a.passed()
	return capture.Event{Kind: capture.Progress, Position: a.last}, true
}

// passed makes the end of the log so far the position before what follows.
func (a *assembler) passed() {
	a.place, a.last = a.at, a.at.position()
}

// idle takes the server's word that it has sent everything before file and offset.
func (a *assembler) idle(file string, offset uint64) (capture.Event, bool) {
	if a.open || comparePlaces(position{file: file, offset: offset}, a.at) < 0 {
		return capture.Event{}, false
	}
	a.at.file, a.at.offset = file, offset
	return a.progress()
}

// begin notes the GTID of a transaction. Its set is what the position after it has.
func (a *assembler) begin(commit time.Time, add func(gtidSet) error) error {
	if a.open {
		return fmt.Errorf("reading a transaction within another: %w", errEvent)
	}
	if err := add(a.gtids); err != nil {
		return err
	}
	a.open, a.begun, a.skip, a.marked, a.probeRow = true, false, false, false, false
	a.commitTime, a.heartbeat = commit, time.Time{}
	a.rows, a.bytes, a.part, a.savepoints = nil, 0, 0, nil
	clear(a.tables)
	return nil
}

// commit ends the transaction; reading from here on would skip it. xid is 0 when it has
// none.
func (a *assembler) commit(xid uint64) (capture.Event, bool, error) {
	if !a.open {
		return capture.Event{}, false, fmt.Errorf("reading a commit outside a transaction: %w", errEvent)
	}
	a.open = false
	a.at.gtids = a.gtids.String()
	if a.marked && a.mark.Origin == probeName {
		if a.probed != nil {
			a.probed(a.mark.Seq, a.probeRow)
		}
		a.marked, a.rows = false, nil
	}
	switch {
	case a.marked:
		a.passed()
		return capture.Event{Kind: capture.Replicated, Position: a.last, Mark: a.mark}, true, nil
	case len(a.rows) > 0 || a.part > 0 || !a.heartbeat.IsZero():
		a.passed()
		ev := a.local(false)
		ev.XID = xid
		return ev, true, nil
	}
	ev, ok := a.progress()
	return ev, ok, nil
}

// local takes the rows gathered so far as an event.
func (a *assembler) local(more bool) capture.Event {
	ev := capture.Event{
		Kind: capture.Local, Position: a.last, CommitTime: a.commitTime,
		Rows: a.rows, Part: a.part, More: more, Heartbeat: a.heartbeat,
	}
	a.rows, a.bytes = nil, 0
	a.part++
	return ev
}

// tableMap notes the table of the rows that follow. raw is the body of the event.
func (a *assembler) tableMap(ctx context.Context, m *replication.TableMapEvent, raw []byte) error {
	if a.skip {
		return nil
	}
	rel := a.relations[string(raw)]
	if rel == nil {
		var err error
		if rel, err = a.shape.relation(ctx, m, a.at); err != nil {
			return err
		}
		if len(a.relations) > 10000 {
			clear(a.relations)
		}
		a.relations[string(raw)] = rel
	}
	a.tables[m.TableID] = rel
	return nil
}

// change takes a set of rows. raw is the size of its event.
func (a *assembler) change(table uint64, e *rowsEvent) (ev capture.Event, ok bool, err error) {
	if !a.open {
		return ev, false, fmt.Errorf("reading rows outside a transaction: %w", errEvent)
	}
	if a.skip {
		return ev, false, nil
	}
	rel := a.tables[table]
	if rel == nil {
		return ev, false, fmt.Errorf("reading rows of the unknown table %d: %w", table, errEvent)
	}
	switch rel.use {
	case useRows:
		// The part is full: hand it out before these rows.
		if a.bytes > 0 && a.bytes+len(e.body) > a.partBytes {
			ev, ok = a.local(true), true
		}
		a.bytes += len(e.body)
		a.rows, err = a.slab.rows(e, rel, a.rows)
	case useHeartbeat, useCheckpoint:
		var own []change.Row
		if own, err = a.slab.rows(e, rel, nil); err != nil {
			break
		}
		for i := range own {
			if rel.use == useHeartbeat {
				err = a.heartbeatRow(rel, own[i].New)
			} else {
				err = a.checkpointRow(rel, own[i].New)
			}
			if err != nil {
				break
			}
		}
	}
	return ev, ok, err
}

// value returns a column of a row of Concord's own tables.
func value(rel *relation, img []change.Value, name string) (string, error) {
	i := rel.column(name)
	if i < 0 || img[i].State != change.Present {
		return "", fmt.Errorf("%w: %s has no column %s; run concord init", change.ErrRefused, rel.name, name)
	}
	return img[i].Text, nil
}

// heartbeatRow notes this site's heartbeat.
func (a *assembler) heartbeatRow(rel *relation, img []change.Value) error {
	if img == nil {
		return nil
	}
	site, err := value(rel, img, "site")
	if err != nil {
		return err
	}
	switch change.Site(site) {
	case probeName:
		a.probeRow = true
	case a.site:
		beat, err := value(rel, img, "beat")
		if err != nil {
			return err
		}
		at, err := time.Parse("2006-01-02 15:04:05.999999", beat)
		if err != nil {
			return fmt.Errorf("reading the heartbeat %q: %w", beat, errEvent)
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
	origin, err := value(rel, img, "origin")
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
		text, err := value(rel, img, n.name)
		if err != nil {
			return err
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("reading %s of the checkpoint of %s: %q: %w", n.name, origin, text, errEvent)
		}
		n.set(uint64(v))
	}
	if a.part > 0 {
		return fmt.Errorf("%w: a replicated transaction (%s %d) wrote more than one part of rows before its mark; run the same version of Concord for capture and apply",
			change.ErrRefused, m.Origin, m.Seq)
	}
	a.marked, a.skip, a.mark = true, true, m
	a.rows, a.bytes = nil, 0
	return nil
}

// query takes a statement that stands in the log as text.
func (a *assembler) query(ctx context.Context, schema, sql string) (capture.Event, bool, error) {
	st := classify(sql)
	switch st.kind {
	case statementBegin:
		a.begun = true
		return capture.Event{}, false, nil
	case statementCommit:
		return a.commit(0)
	case statementRollback:
		return a.rollback()
	case statementSavepoint:
		if a.savepoints == nil {
			a.savepoints = map[string]savepoint{}
		}
		a.savepoints[st.name] = savepoint{a.part, len(a.rows)}
		return capture.Event{}, false, nil
	case statementRollbackTo:
		return capture.Event{}, false, a.rollbackTo(st.name)
	case statementTruncate:
		if !a.skip {
			schema, name := tableName(st.name, schema)
			table, err := a.shape.emptied(ctx, schema, name)
			if err != nil {
				return capture.Event{}, false, err
			}
			if table != nil {
				a.rows = append(a.rows, change.Row{Table: table, Op: change.Truncate})
				a.bytes += 16
			}
		}
		a.reshape()
	case statementWrite:
		if schema, name, ok := emptiedByServer(sql); ok && !a.shape.replicated(schema, name) {
			break
		}
		return capture.Event{}, false, fmt.Errorf("%w: the log at %s has a statement instead of rows (%.80q): a session set binlog_format to something other than ROW; "+
			"take the right to do so from applications, and %s", change.ErrNeedsCopy, a.at.place(), sql, newEpochRemedy)
	case statementSchema:
		if unlogged.MatchString(sql) {
			a.shape.log.Warn("a statement removed or brought rows that the log does not have: they are not replicated", "statement", sql, "position", a.at.place())
		}
		a.reshape()
	}
	if !a.begun {
		return a.commit(0)
	}
	return capture.Event{}, false, nil
}

// reshape forgets what tables look like: one may have been changed.
func (a *assembler) reshape() {
	clear(a.relations)
	a.shape.forget()
}

// rollback ends a transaction that came to nothing but for tables without transactions,
// which are not replicated.
func (a *assembler) rollback() (capture.Event, bool, error) {
	if a.part > 0 {
		return capture.Event{}, false, fmt.Errorf("reading a rollback at %s of a transaction that was handed out in parts: %w", a.at.place(), errEvent)
	}
	a.rows, a.marked, a.heartbeat = nil, false, time.Time{}
	return a.commit(0)
}

// rollbackTo drops what was written after a savepoint. It is in the log only when the
// transaction also wrote to tables without transactions.
func (a *assembler) rollbackTo(name string) error {
	s, ok := a.savepoints[name]
	switch {
	case a.skip:
	case !ok, s.part != a.part:
		return fmt.Errorf("reading a rollback at %s to the savepoint %q, which is not in this part of the transaction: %w", a.at.place(), name, errEvent)
	default:
		clear(a.rows[s.rows:])
		a.rows = a.rows[:s.rows]
	}
	return nil
}

// prepared ends the first half of an XA transaction, or all of one that is committed in
// one phase.
func (a *assembler) prepared(onePhase bool) (capture.Event, bool, error) {
	if !onePhase && (len(a.rows) > 0 || a.part > 0) {
		table := ""
		if len(a.rows) > 0 {
			table = " of " + a.rows[0].Table.QualifiedName()
		}
		return capture.Event{}, false, fmt.Errorf("%w: the log at %s has an XA transaction with rows%s: its rows come before it is known whether it commits; "+
			"use ordinary transactions for replicated tables, and %s", change.ErrNeedsCopy, a.at.place(), table, newEpochRemedy)
	}
	return a.commit(0)
}

// gtid notes a transaction of MySQL.
func (a *assembler) gtid(e *replication.GTIDEvent, when time.Time) error {
	if e.ImmediateCommitTimestamp > 0 {
		when = time.UnixMicro(int64(e.ImmediateCommitTimestamp))
	}
	return a.begin(when.UTC(), func(s gtidSet) error {
		in, ok := s.(*intervals)
		if !ok {
			return errFlavor
		}
		return in.add(e.SID, e.Tag, e.GNO)
	})
}

// domainGTID notes a transaction of MariaDB. It is known to begin here; there is no
// statement for that.
func (a *assembler) domainGTID(g gomysql.MariadbGTID, standalone bool, when time.Time) error {
	err := a.begin(when.UTC(), func(s gtidSet) error {
		d, ok := s.(domains)
		if !ok {
			return errFlavor
		}
		d[g.DomainID] = domainGTID{g.ServerID, g.SequenceNumber}
		return nil
	})
	a.begun = !standalone
	return err
}

// errFlavor is a GTID of the one server in the log of the other.
var errFlavor = errors.New("the log has GTIDs of another kind of server")

// rotate notes that the log goes on in another file, or begins in one.
func (a *assembler) rotate(file string, offset uint64) {
	if file != a.at.file {
		a.at.file, a.at.offset = file, offset
	}
}
