package mysql

import (
	"fmt"

	"github.com/concord-db/concord/internal/change"
)

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

// rowsEvent is a set of rows of one table, not decoded yet.
type rowsEvent struct {
	op     change.Op
	body   string // the images
	first  []byte // bitmap of the columns of the only or the old image
	second []byte // of the new image of an update
	count  int    // columns
}

// rows decodes the rows of an event.
func (s *slab) rows(e *rowsEvent, rel *relation, into []change.Row) ([]change.Row, error) {
	if e.count != len(rel.fields) {
		return into, fmt.Errorf("reading rows of %s with %d columns instead of %d: %w", rel.name, e.count, len(rel.fields), errEvent)
	}
	c := cursor{s: e.body}
	for c.i < len(c.s) {
		row := change.Row{Table: rel.table, Op: e.op}
		img, err := s.read(&c, rel, e.first)
		if err == nil {
			switch e.op {
			case change.Insert:
				row.New = img
			case change.Delete:
				row.Old = img
			default:
				row.Old = img
				row.New, err = s.read(&c, rel, e.second)
			}
		}
		if err != nil {
			return into, err
		}
		into = append(into, row)
	}
	return into, nil
}

// read decodes one image: a bitmap of the nulls among the columns that are there, then
// the values of the others.
func (s *slab) read(c *cursor, rel *relation, bitmap []byte) ([]change.Value, error) {
	present := 0
	for i := range rel.fields {
		if bitmap[i/8]&(1<<(i%8)) != 0 {
			present++
		} else if rel.target[i] >= 0 {
			return nil, fmt.Errorf("%w: the log has rows of %s without the column %s: binlog_row_image was not FULL in the session that wrote them; "+
				"set it to FULL, take the right to change it from applications, and %s", change.ErrNeedsCopy, rel.name, rel.columns[i], newEpochRemedy)
		}
	}
	nulls := c.take((present + 7) / 8)
	if c.bad {
		return nil, fmt.Errorf("reading a row of %s: %w", rel.name, errEvent)
	}
	img := s.image(rel.width)
	n := 0
	for i := range rel.fields {
		if bitmap[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		null := nulls[n/8]&(1<<(n%8)) != 0
		n++
		v := change.NullValue()
		if !null {
			text, err := rel.fields[i].value(c)
			if err == nil && c.bad {
				err = errEvent
			}
			if err != nil {
				return nil, fmt.Errorf("reading column %s of %s: %w", rel.columns[i], rel.name, err)
			}
			v = change.TextValue(text)
		}
		if t := rel.target[i]; t >= 0 {
			img[t] = v
		}
	}
	for i, keyed := range rel.keyed {
		if keyed && img[i].State != change.Present {
			return nil, fmt.Errorf("reading a row of %s: key column %s has no value: %w", rel.name, rel.table.Columns[i].Name, errEvent)
		}
	}
	return img, nil
}
