package compare

import (
	"bytes"
	"context"
	"fmt"
)

// maxExamples bounds the differences that are kept of a table.
const maxExamples = 5

// Table is a table and the columns of its key.
type Table struct {
	Schema, Name string
	Key          []string
}

func (t Table) String() string { return t.Schema + "." + t.Name }

// Result is what a comparison of one table found.
type Result struct {
	Table     string       `json:"table"`
	Rows      [2]int64     `json:"rows"`      // read on each side
	Keys      int64        `json:"keys"`      // that either side has
	Different int64        `json:"different"` // keys whose rows are not the same, or on one side only
	Examples  []Difference `json:"examples,omitempty"`
}

// Equal reports whether both sides have the same rows.
func (r Result) Equal() bool { return r.Different == 0 }

// Difference is a key with what each side has; "" where there is no row.
type Difference struct {
	Key  string    `json:"key"`
	Rows [2]string `json:"rows"`
}

// Compare reads a table on both sides. It needs memory for what differs, not for the
// table. The rows must not change meanwhile.
func Compare(ctx context.Context, sides [2]Side, table Table) (Result, error) {
	r := Result{Table: table.String()}
	var streams [2]*stream
	for i, side := range sides {
		rows, err := side.Open(ctx, table)
		if err != nil {
			return r, fmt.Errorf("reading %s: %w", table, err)
		}
		defer rows.Close()
		streams[i] = &stream{rows: rows}
	}
	// Rows that the other side has not shown yet. Both sides come in nearly the same
	// order, so a row waits only while the sides are out of step by a difference.
	var waiting [2]map[string]string
	waiting[0], waiting[1] = map[string]string{}, map[string]string{}
	for {
		more := [2]bool{streams[0].next(), streams[1].next()}
		if !more[0] && !more[1] {
			break
		}
		if more[0] && more[1] && bytes.Equal(streams[0].key, streams[1].key) {
			r.Rows[0]++
			r.Rows[1]++
			r.Keys++
			if !bytes.Equal(streams[0].row, streams[1].row) {
				r.differ(string(streams[0].key), [2]string{string(streams[0].row), string(streams[1].row)})
			}
			continue
		}
		for i := range streams {
			if !more[i] {
				continue
			}
			r.Rows[i]++
			key, row := string(streams[i].key), string(streams[i].row)
			other, met := waiting[1-i][key]
			if !met {
				waiting[i][key] = row
				continue
			}
			delete(waiting[1-i], key)
			r.Keys++
			if other != row {
				pair := [2]string{}
				pair[i], pair[1-i] = row, other
				r.differ(key, pair)
			}
		}
	}
	for i, s := range streams {
		if err := s.rows.Err(); err != nil {
			return r, fmt.Errorf("reading %s: %w", table, err)
		}
		for key, row := range waiting[i] {
			r.Keys++
			pair := [2]string{}
			pair[i] = row
			r.differ(key, pair)
		}
	}
	return r, nil
}

func (r *Result) differ(key string, rows [2]string) {
	r.Different++
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, Difference{key, rows})
	}
}

// stream is a table being read; key and row are valid until next.
type stream struct {
	rows     Rows
	key, row []byte
}

func (s *stream) next() bool {
	if !s.rows.Next() {
		return false
	}
	s.key, s.row = s.rows.Row()
	return true
}

// All compares every table with a primary key of a schema, as the first side lists
// them; a table that only one side has is an error.
func All(ctx context.Context, sides [2]Side, schema string) ([]Result, error) {
	var tables [2][]Table
	for i, side := range sides {
		var err error
		if tables[i], err = side.Tables(ctx, schema); err != nil {
			return nil, err
		}
	}
	if a, b := fmt.Sprint(tables[0]), fmt.Sprint(tables[1]); a != b {
		return nil, fmt.Errorf("comparing schema %s: the sides have different tables: %s and %s", schema, a, b)
	}
	var results []Result
	for _, table := range tables[0] {
		r, err := Compare(ctx, sides, table)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
