package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/concord-db/concord/capture"
	"github.com/concord-db/concord/internal/change"
)

// parser takes events apart and hands them to the assembler. Rows are not decoded
// before it is known whose they are.
type parser struct {
	outer *replication.BinlogParser // of events as they come
	inner *replication.BinlogParser // of those inside a compressed transaction: no checksums
	into  *assembler
	body  []byte // of the last rows event, behind its header

	trailer int      // bytes of checksum behind an event
	payload *payload // being read
}

func newParser(f flavor, into *assembler) *parser {
	p := &parser{into: into}
	make := func() *replication.BinlogParser {
		b := replication.NewBinlogParser()
		b.SetFlavor(string(f))
		b.SetVerifyChecksum(true)
		b.SetRowsEventDecodeFunc(func(e *replication.RowsEvent, data []byte) error {
			at, err := e.DecodeHeader(data)
			if err == nil {
				p.body = data[at:]
			}
			return err
		})
		return b
	}
	p.outer, p.inner = make(), make()
	return p
}

// event takes one event as the server sent it.
func (p *parser) event(ctx context.Context, data []byte) (capture.Event, bool, error) {
	if len(data) < replication.EventHeaderSize {
		return capture.Event{}, false, fmt.Errorf("reading an event of %d bytes: %w", len(data), errEvent)
	}
	switch typ := replication.EventType(data[4]); typ {
	case replication.FORMAT_DESCRIPTION_EVENT:
		if err := p.format(data); err != nil {
			return capture.Event{}, false, err
		}
	case replication.TRANSACTION_PAYLOAD_EVENT:
		return p.compressed(ctx, data)
	case replication.ANONYMOUS_GTID_EVENT:
		return capture.Event{}, false, fmt.Errorf("%w: the log at %s has a transaction without a GTID: gtid_mode was not ON; set it to ON for good, and %s",
			change.ErrNeedsCopy, p.into.at.place(), newEpochRemedy)
	default:
		if p.into.skip && rowsType(typ) {
			p.into.advance(header(data))
			return capture.Event{}, false, nil
		}
	}
	ev, err := parse(p.outer, data)
	if err != nil {
		return capture.Event{}, false, fmt.Errorf("reading the log at %s: %w", p.into.at.place(), err)
	}
	p.into.advance(ev.Header)
	return p.take(ctx, ev)
}

// header reads what stands before every event.
func header(data []byte) *replication.EventHeader {
	h := &replication.EventHeader{}
	_ = h.Decode(data) // long enough
	return h
}

// rowsType reports whether an event is about rows: of no use within a replicated
// transaction.
func rowsType(t replication.EventType) bool {
	switch t {
	case replication.TABLE_MAP_EVENT, replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1,
		replication.ROWS_QUERY_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT:
		return true
	}
	return false
}

// parse takes an event apart. The library trusts the lengths in it.
func parse(b *replication.BinlogParser, data []byte) (ev *replication.BinlogEvent, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errEvent, r)
		}
	}()
	return b.Parse(data)
}

// format tells the inner parser what the outer one is told, but for checksums.
func (p *parser) format(data []byte) error {
	const trailer = 5 // algorithm and checksum
	if len(data) < replication.EventHeaderSize+trailer {
		return fmt.Errorf("reading a format description of %d bytes: %w", len(data), errEvent)
	}
	plain := append([]byte(nil), data...)
	plain[len(plain)-trailer] = byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	_, err := parse(p.inner, plain)
	return err
}

// take hands a parsed event on.
func (p *parser) take(ctx context.Context, ev *replication.BinlogEvent) (none capture.Event, ok bool, err error) {
	a, when := p.into, time.Unix(int64(ev.Header.Timestamp), 0)
	artificial := ev.Header.Flags&replication.LOG_EVENT_ARTIFICIAL_F != 0 || ev.Header.LogPos == 0
	switch e := ev.Event.(type) {
	case *replication.RotateEvent:
		a.rotate(p.fileName(ev, e), e.Position)
	case *replication.HeartbeatEvent:
		if e.Version == 1 && e.Filename != "" {
			before := a.at.offset
			if e.Filename != a.at.file {
				before = 0
			}
			one, ok := a.idle(e.Filename, widen(before, ev.Header.LogPos))
			return one, ok, nil
		}
	case *replication.GTIDEvent:
		return none, false, a.gtid(e, when)
	case *replication.GtidTaggedLogEvent:
		return none, false, a.gtid(&e.GTIDEvent, when)
	case *replication.MariadbGTIDEvent:
		return none, false, a.domainGTID(e.GTID, e.IsStandalone(), when)
	case *replication.QueryEvent:
		return a.query(ctx, string(e.Schema), string(e.Query))
	case *replication.XIDEvent:
		return a.commit(e.XID)
	case *replication.TableMapEvent:
		raw := ev.RawData[replication.EventHeaderSize:]
		if p.payload == nil {
			raw = raw[:len(raw)-p.trailer]
		}
		return none, false, a.tableMap(ctx, e, raw)
	case *replication.FormatDescriptionEvent:
		p.trailer = 0
		if e.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32 {
			p.trailer = replication.BinlogChecksumLength
		}
		if !artificial {
			one, ok := a.progress()
			return one, ok, nil
		}
	case *replication.RowsEvent:
		return p.rows(ev.Header.EventType, e)
	case *replication.ExecuteLoadQueryEvent, *replication.BeginLoadQueryEvent:
		return a.query(ctx, "", "LOAD DATA")
	default:
		switch ev.Header.EventType {
		case replication.XA_PREPARE_LOG_EVENT:
			raw := ev.RawData[replication.EventHeaderSize:]
			return a.prepared(len(raw) > 0 && raw[0] != 0)
		case replication.INCIDENT_EVENT:
			return none, false, fmt.Errorf("%w: the server says that events are missing from its log at %s; %s", change.ErrNeedsCopy, a.at.place(), newEpochRemedy)
		}
		if !artificial {
			one, ok := a.progress()
			return one, ok, nil
		}
	}
	return none, false, nil
}

// fileName is where the log goes on. The first event of all comes before it is known
// that events end in checksums; MariaDB adds one to it.
func (p *parser) fileName(ev *replication.BinlogEvent, e *replication.RotateEvent) string {
	name := string(e.NextLogName)
	end := len(ev.RawData) - replication.BinlogChecksumLength
	if p.trailer == 0 && len(name) > replication.BinlogChecksumLength && crc32.ChecksumIEEE(ev.RawData[:end]) == binary.LittleEndian.Uint32(ev.RawData[end:]) {
		name = name[:len(name)-replication.BinlogChecksumLength]
	}
	return name
}

// rows takes a set of rows apart as far as the assembler needs it.
func (p *parser) rows(typ replication.EventType, e *replication.RowsEvent) (none capture.Event, ok bool, err error) {
	set := rowsEvent{first: e.ColumnBitmap1, second: e.ColumnBitmap2, count: int(e.ColumnCount)}
	switch typ {
	case replication.PARTIAL_UPDATE_ROWS_EVENT:
		return none, false, fmt.Errorf("%w: the log at %s has parts of JSON values: binlog_row_value_options was not empty in the session that wrote them; "+
			"take the right to set it from applications, and %s", change.ErrNeedsCopy, p.into.at.place(), newEpochRemedy)
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		if p.body, err = gomysql.DecompressMariadbData(p.body); err != nil {
			return none, false, fmt.Errorf("reading compressed rows at %s: %w", p.into.at.place(), err)
		}
	}
	switch e.Type() {
	case replication.EnumRowsEventTypeInsert:
		set.op = change.Insert
	case replication.EnumRowsEventTypeUpdate:
		set.op = change.Update
	case replication.EnumRowsEventTypeDelete:
		set.op = change.Delete
	default:
		return none, false, fmt.Errorf("reading rows of an event of type %d: %w", typ, errEvent)
	}
	set.body = string(p.body)
	return p.into.change(e.TableID, &set)
}

// littleUint reads a number of n bytes.
func littleUint(b []byte) uint64 {
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:])
}
