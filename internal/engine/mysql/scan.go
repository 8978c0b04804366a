package mysql

import (
	"errors"
	"fmt"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// fields reads the rows of a result column by column, from left to right. The first
// error stays; the values after it are zero.
type fields struct {
	result *gomysql.Result
	row    int
	column int
	err    error
}

// each calls f for every row of a result.
func each(r *gomysql.Result, f func(*fields) error) error {
	if !r.HasResultset() {
		return nil
	}
	for row := range r.RowNumber() {
		at := &fields{result: r, row: row}
		if err := errors.Join(f(at), at.err); err != nil {
			return err
		}
	}
	return nil
}

// next is the text of the next column; nil where it is NULL.
func (f *fields) next() *string {
	column := f.column
	f.column++
	if f.err != nil {
		return nil
	}
	null, err := f.result.IsNull(f.row, column)
	if err != nil || null {
		f.err = err
		return nil
	}
	text, err := f.result.GetString(f.row, column)
	if err != nil {
		f.err = err
		return nil
	}
	text = strings.Clone(text) // the result's memory is used again
	return &text
}

// text is the next column; "" where it is NULL.
func (f *fields) text() string {
	if s := f.next(); s != nil {
		return *s
	}
	return ""
}

// number is the next column, an integer; 0 where it is NULL.
func (f *fields) number() (n int64) {
	s := f.next()
	if s == nil {
		return 0
	}
	if _, err := fmt.Sscan(*s, &n); err != nil {
		f.err = fmt.Errorf("column %d: %w", f.column, err)
	}
	return n
}

// moment is the next column, a DATETIME in UTC; nil where it is NULL.
func (f *fields) moment() *time.Time {
	s := f.next()
	if s == nil {
		return nil
	}
	t, err := time.Parse(time.DateTime, *s)
	if err != nil {
		f.err = fmt.Errorf("column %d: %w", f.column, err)
		return nil
	}
	return &t
}

// at is moment where it is never NULL.
func (f *fields) at() time.Time {
	if t := f.moment(); t != nil {
		return *t
	}
	return time.Time{}
}

// datetime is a moment as a DATETIME(6) in UTC.
func datetime(t time.Time) string { return t.UTC().Format(timeFormat) }
