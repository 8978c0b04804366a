package stream

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

// shapeTable numbers the shapes that one frame uses and remembers how each is
// written.
type shapeTable struct {
	used    []*streampb.Shape
	byTable map[*change.Table]int
	last    *change.Table // of the row before: rows of one table come together
	lastAt  int
	encoded map[uint64]*streampb.Shape // of all frames so far, by change.Table.ID
}

func (s *shapeTable) reset() {
	s.used, s.last = nil, nil
	if s.byTable == nil {
		s.byTable = make(map[*change.Table]int)
		s.encoded = make(map[uint64]*streampb.Shape)
	}
	clear(s.byTable)
}

// index returns the number of t in this frame.
func (s *shapeTable) index(t *change.Table) (int, error) {
	if t == s.last {
		return s.lastAt, nil
	}
	at, ok := s.byTable[t]
	if !ok {
		shape, err := s.shape(t)
		if err != nil {
			return 0, err
		}
		if at = slices.Index(s.used, shape); at < 0 {
			at = len(s.used)
			s.used = append(s.used, shape)
		}
		s.byTable[t] = at
	}
	s.last, s.lastAt = t, at
	return at, nil
}

func (s *shapeTable) shape(t *change.Table) (*streampb.Shape, error) {
	if shape, ok := s.encoded[t.ID]; ok {
		return shape, nil
	}
	if err := checkTable(t); err != nil {
		return nil, err
	}
	p := &streampb.Table{Schema: t.Schema, Name: t.Name, Full: t.Full, Unique: uniqueMessages(t.Unique)}
	for _, c := range t.Columns {
		p.Columns = append(p.Columns, &streampb.Column{Name: c.Name, Type: c.Type, Kind: uint32(c.Kind), Identity: c.Identity, Collation: c.Collation})
	}
	for _, k := range t.Key {
		p.Key = append(p.Key, uint32(k))
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding the shape of %s: %w", t.QualifiedName(), err)
	}
	shape := &streampb.Shape{Id: t.ID, Table: b}
	s.encoded[t.ID] = shape
	return shape, nil
}

// checkTable verifies that a shape is one: a key in range and in order, its
// fingerprint right.
func checkTable(t *change.Table) error {
	if len(t.Columns) == 0 || len(t.Columns) > maxColumns || len(t.Key) == 0 {
		return fmt.Errorf("table %s has %d columns, %d of them in its key", t.QualifiedName(), len(t.Columns), len(t.Key))
	}
	for i, k := range t.Key {
		if k < 0 || k >= len(t.Columns) || i > 0 && k <= t.Key[i-1] {
			return fmt.Errorf("table %s has a key %v that is not of its %d columns", t.QualifiedName(), t.Key, len(t.Columns))
		}
	}
	sealed := *t
	if sealed.Seal().ID != t.ID {
		return fmt.Errorf("the shape of table %s does not have its fingerprint", t.QualifiedName())
	}
	return nil
}

// shapeCache makes equal shapes of consecutive frames the same *change.Table.
type shapeCache struct {
	known map[uint64]knownShape
}

type knownShape struct {
	encoded []byte
	table   *change.Table
}

// maxShapes bounds the cache. Shapes come and go with schema changes, and a
// cluster replicates at most some thousands of tables.
const maxShapes = 1 << 14

// table returns the shape that s describes.
func (c *shapeCache) table(s *streampb.Shape) (*change.Table, error) {
	known, ok := c.known[s.GetId()]
	if ok && bytes.Equal(known.encoded, s.GetTable()) {
		return known.table, nil
	}
	t, err := parseTable(s)
	if err != nil {
		return nil, err
	}
	if ok {
		// Another way to write the same: the fingerprint was checked, so was this.
		if !sameTable(t, known.table) {
			return nil, fmt.Errorf("%w: two shapes with one fingerprint: %s and %s",
				errFormat, t.QualifiedName(), known.table.QualifiedName())
		}
		return known.table, nil
	}
	if c.known == nil || len(c.known) >= maxShapes {
		c.known = make(map[uint64]knownShape)
	}
	c.known[t.ID] = knownShape{encoded: s.GetTable(), table: t}
	return t, nil
}

func parseTable(s *streampb.Shape) (*change.Table, error) {
	var p streampb.Table
	if err := proto.Unmarshal(s.GetTable(), &p); err != nil {
		return nil, fmt.Errorf("%w: shape: %w", errFormat, err)
	}
	t := &change.Table{Schema: p.GetSchema(), Name: p.GetName(), Full: p.GetFull(), ID: s.GetId()}
	for _, c := range p.GetColumns() {
		if c.GetKind() > 0xff {
			return nil, fmt.Errorf("%w: column kind %d", errFormat, c.GetKind())
		}
		t.Columns = append(t.Columns, change.Column{
			Name: c.GetName(), Type: c.GetType(), Kind: change.Kind(c.GetKind()), Identity: c.GetIdentity(), Collation: c.GetCollation(),
		})
	}
	for _, k := range p.GetKey() {
		t.Key = append(t.Key, int(k))
	}
	var err error
	if t.Unique, err = parseUnique(p.GetUnique(), len(t.Columns)); err != nil {
		return nil, err
	}
	if err := checkTable(t); err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	return t, nil
}

func sameTable(a, b *change.Table) bool {
	return a.Schema == b.Schema && a.Name == b.Name && a.Full == b.Full &&
		slices.Equal(a.Columns, b.Columns) && slices.Equal(a.Key, b.Key) && reflect.DeepEqual(a.Unique, b.Unique)
}
