package mysql

import (
	"context"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
)

// Read implements apply.Tx. A column that the local table lacks is unchanged in the
// images. Each row is asked for by itself: which key an answer belongs to is not always
// to be told from its text, since keys are compared as the column's collation does.
func (tx *targetTx) Read(ctx context.Context, shape *change.Table, keys [][]change.Value) ([][]change.Value, error) {
	if err := tx.check(); err != nil {
		return nil, err
	}
	images := make([][]change.Value, len(keys))
	if len(keys) == 0 {
		return images, nil
	}
	t, err := tx.db.readable(ctx, shape)
	if err != nil {
		return nil, err
	}
	s := t.plan(shape, tx.lane.conn.flavor, verbRead, shape.Key)
	b := tx.start(ctx)
	for i, key := range keys {
		q := query{about: "table " + shape.QualifiedName(), shape: shape, head: s.check, row: func(values []*string) (err error) {
			images[i], err = s.imageOf(shape, values)
			return err
		}}
		if err = b.build(q, func(text []byte) ([]byte, error) {
			text, err := s.appendRow(text, key, nil)
			return append(text, tx.lane.nowait()...), err
		}); err != nil {
			break
		}
	}
	if rerr := tx.run(ctx, b, "reading"); rerr != nil {
		err = rerr
	}
	if err != nil {
		return nil, tx.failed(ctx, shape, shape.Key, t, err)
	}
	return images, nil
}

// check compares the columns of an answer with what the catalogue said when the
// statement was made: a value of another type would be misread in silence.
func (s *plan) check(columns []*gomysql.Field) error {
	more := len(s.set) // single and double precision come a second time as they are
	for i, c := range s.set {
		if c.sent == sentFloat || c.sent == sentDouble {
			i, more = more, more+1
		}
		if i >= len(columns) || sentOfField(columns[i]) != c.sent {
			return fmt.Errorf("%w: column %s is of another type than the catalogue said", errStale, c.name)
		}
	}
	return nil
}

// errStale is what a table says that was altered.
var errStale = fmt.Errorf("%w: the table was altered", apply.ErrRejected)

// sentOfField gives the form of a column of an answer.
func sentOfField(f *gomysql.Field) sent {
	const binary = 63 // the number of the character set
	switch f.Type {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_SHORT, gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_LONGLONG,
		gomysql.MYSQL_TYPE_YEAR, gomysql.MYSQL_TYPE_DECIMAL, gomysql.MYSQL_TYPE_NEWDECIMAL:
		return sentInt
	case gomysql.MYSQL_TYPE_BIT:
		return sentBits
	case gomysql.MYSQL_TYPE_FLOAT:
		return sentFloat
	case gomysql.MYSQL_TYPE_DOUBLE:
		return sentDouble
	case gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_TIMESTAMP:
		return sentMoment
	case gomysql.MYSQL_TYPE_GEOMETRY, gomysql.MYSQL_TYPE_VECTOR:
		return sentBytes
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VAR_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_TINY_BLOB, gomysql.MYSQL_TYPE_MEDIUM_BLOB,
		gomysql.MYSQL_TYPE_LONG_BLOB, gomysql.MYSQL_TYPE_BLOB:
		if f.Charset == binary {
			return sentBytes
		}
	}
	return sentText
}

// imageOf makes the image of a row that the statement read.
func (s *plan) imageOf(shape *change.Table, values []*string) ([]change.Value, error) {
	image := make([]change.Value, len(shape.Columns))
	for i, c := range s.set {
		if values[i] == nil {
			image[c.at] = change.NullValue()
			continue
		}
		text, err := c.sent.canonical(c.kind, *values[i])
		if err != nil {
			return nil, &targetError{class: apply.ErrRejected, doing: "reading column " + c.name, cause: &rowError{shape, err}}
		}
		image[c.at] = change.TextValue(text)
	}
	return image, nil
}
