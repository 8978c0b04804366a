package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/concord-db/concord/internal/change"
)

// errMessage is a replication message that does not follow the protocol.
var errMessage = errors.New("malformed replication message")

// cursor reads the fields of one replication message. Reading beyond the end
// yields zeros and sets bad. Strings are substrings: the message is copied once,
// by whoever made s.
type cursor struct {
	s   string
	i   int
	bad bool
}

func (c *cursor) take(n int) string {
	if n < 0 || n > len(c.s)-c.i {
		c.bad, c.i = true, len(c.s)
		return ""
	}
	s := c.s[c.i : c.i+n]
	c.i += n
	return s
}

func (c *cursor) u8() byte {
	if c.i >= len(c.s) {
		c.bad = true
		return 0
	}
	c.i++
	return c.s[c.i-1]
}

func (c *cursor) u16() uint16 {
	s := c.take(2)
	if len(s) < 2 {
		return 0
	}
	return uint16(s[0])<<8 | uint16(s[1])
}

func (c *cursor) u32() uint32 {
	s := c.take(4)
	if len(s) < 4 {
		return 0
	}
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func (c *cursor) u64() uint64 { return uint64(c.u32())<<32 | uint64(c.u32()) }

// text reads up to a zero byte.
func (c *cursor) text() string {
	for j := c.i; j < len(c.s); j++ {
		if c.s[j] == 0 {
			s := c.s[c.i:j]
			c.i = j + 1
			return s
		}
	}
	c.bad, c.i = true, len(c.s)
	return ""
}

// postgresEpoch is 2000-01-01 in microseconds since 1970.
const postgresEpoch = 946684800 * 1000000

// moment is a server timestamp: microseconds since 2000.
func (c *cursor) moment() time.Time { return time.UnixMicro(int64(c.u64()) + postgresEpoch).UTC() }

// beginMessage, commitMessage and the rest are the messages of protocol version 1.
type beginMessage struct {
	final      lsn // where the commit record starts
	commitTime time.Time
	xid        uint32
}

func parseBegin(c *cursor) (m beginMessage, err error) {
	m.final, m.commitTime = lsn(c.u64()), c.moment()
	m.xid = c.u32()
	return m, c.end("begin")
}

type commitMessage struct {
	end        lsn // reading from here on skips the transaction
	commitTime time.Time
}

func parseCommit(c *cursor) (m commitMessage, err error) {
	c.u8()  // flags
	c.u64() // where the commit record starts
	m.end, m.commitTime = lsn(c.u64()), c.moment()
	return m, c.end("commit")
}

// relationMessage describes a table before the first change to it and again after
// its shape has changed.
type relationMessage struct {
	id       uint32
	schema   string
	name     string
	identity byte
	columns  []relationColumn
}

type relationColumn struct {
	key    bool // part of the replica identity; set for every column with FULL
	name   string
	typ    uint32
	typmod int32
}

func parseRelation(c *cursor) (m relationMessage, err error) {
	m.id, m.schema, m.name, m.identity = c.u32(), c.text(), c.text(), c.u8()
	if m.schema == "" {
		m.schema = "pg_catalog"
	}
	n := int(c.u16())
	for range n {
		if c.bad {
			break
		}
		m.columns = append(m.columns, relationColumn{
			key: c.u8()&1 != 0, name: c.text(), typ: c.u32(), typmod: int32(c.u32()),
		})
	}
	return m, c.end("relation")
}

func parseTruncate(c *cursor) (ids []uint32, err error) {
	n := c.u32()
	c.u8() // CASCADE, RESTART IDENTITY: the list names every table it reached
	for range n {
		if c.bad {
			break
		}
		ids = append(ids, c.u32())
	}
	return ids, c.end("truncate")
}

// logicalMessage is what pg_logical_emit_message wrote.
type logicalMessage struct {
	transactional bool
	at            lsn // where its record starts
	prefix        string
}

func parseLogical(c *cursor) (m logicalMessage, err error) {
	m.transactional = c.u8()&1 != 0
	m.at, m.prefix = lsn(c.u64()), c.text()
	c.take(int(c.u32()))
	return m, c.end("logical message")
}

// end fails when the message was too short or is longer than what was read.
func (c *cursor) end(what string) error {
	if c.bad || c.i != len(c.s) {
		return fmt.Errorf("reading a %s message of %d bytes: %w", what, len(c.s), errMessage)
	}
	return nil
}

// slabValues is how many values are allocated at once.
const slabValues = 2048

// slab hands out images from larger allocations. An image stays valid for ever; it
// keeps its slab alive.
type slab struct{ free []change.Value }

func (s *slab) image(n int) []change.Value {
	if n > len(s.free) {
		if n > slabValues/4 {
			return make([]change.Value, n)
		}
		s.free = make([]change.Value, slabValues)
	}
	img := s.free[:n:n]
	s.free = s.free[n:]
	return img
}

// tuple reads one image of rel. With keyOnly the columns outside the key, which
// such a tuple carries as nulls, stay unchanged.
func (s *slab) tuple(c *cursor, rel *relation, keyOnly bool) ([]change.Value, error) {
	n := int(c.u16())
	if n != len(rel.forms) {
		return nil, fmt.Errorf("reading a row of %s with %d columns instead of %d: %w", rel.name, n, len(rel.forms), errMessage)
	}
	img := s.image(n)
	for i := range img {
		switch kind := c.u8(); kind {
		case 't':
			text := c.take(int(int32(c.u32())))
			if keyOnly && !rel.keyed[i] {
				continue
			}
			if f := rel.forms[i]; f != formSame && !c.bad {
				var err error
				if text, err = f.canonical(text); err != nil {
					return nil, fmt.Errorf("reading column %s of %s: %w: %w", rel.columns[i], rel.name, errMessage, err)
				}
			}
			img[i] = change.Value{Text: text, State: change.Present}
		case 'n':
			if !keyOnly || rel.keyed[i] {
				img[i].State = change.Null
			}
		case 'u': // an unchanged value that is stored out of line
		default:
			return nil, fmt.Errorf("reading column %s of %s: value marked %q: %w", rel.columns[i], rel.name, kind, errMessage)
		}
	}
	return img, nil
}

// row reads an insert, update or delete; the cursor stands behind the relation's id.
func (s *slab) row(c *cursor, rel *relation, op change.Op) (r change.Row, err error) {
	r.Table, r.Op = rel.table, op
	mark := c.u8()
	if mark == 'K' || mark == 'O' {
		if op == change.Insert {
			return r, fmt.Errorf("reading an insert with an old row: %w", errMessage)
		}
		if r.Old, err = s.tuple(c, rel, mark == 'K'); err != nil {
			return r, err
		}
		if op == change.Update {
			mark = c.u8()
		}
	}
	if op == change.Delete {
		if r.Old == nil {
			return r, fmt.Errorf("reading a delete without an old row: %w", errMessage)
		}
		return r, rel.checkRow(c, r.Old)
	}
	if mark != 'N' {
		return r, fmt.Errorf("reading a row of %s: image marked %q: %w", rel.name, mark, errMessage)
	}
	if r.New, err = s.tuple(c, rel, false); err != nil {
		return r, err
	}
	for i := range r.New {
		// The server leaves an unchanged large value out of the new image, but logs
		// it in the old one where the replica identity covers the column.
		if r.New[i].State == change.Unchanged && r.Old != nil {
			r.New[i] = r.Old[i]
		}
	}
	if r.Old == nil {
		return r, rel.checkRow(c, r.New)
	}
	return r, rel.checkRow(c, r.Old, r.New)
}

// checkRow makes sure that the images name their row and that the message is over.
func (rel *relation) checkRow(c *cursor, images ...[]change.Value) error {
	if err := c.end("row"); err != nil {
		return err
	}
	for _, img := range images {
		for i, keyed := range rel.keyed {
			if keyed && img[i].State != change.Present {
				return fmt.Errorf("reading a row of %s: key column %s has no value: %w", rel.name, rel.columns[i], errMessage)
			}
		}
	}
	return nil
}
