package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// showConflict tells one conflict to a person: who wrote what and when, the columns in
// which the rows differ side by side, what became of them and why.
func showConflict(w io.Writer, c *enginesite.Conflict) error {
	fmt.Fprintf(w, "conflict  %d, settled %s\n", c.ID, c.At.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(w, "row       %s %s\n", c.Table, c.Key)
	fmt.Fprintf(w, "kind      %s: %s\n", c.Kind, kindInWords(c))
	fmt.Fprintf(w, "older     %s\n", sideInWords(&c.Older))
	fmt.Fprintf(w, "newer     %s\n", sideInWords(&c.Newer))
	fmt.Fprintf(w, "rule      %s\n", c.Policy)
	fmt.Fprintf(w, "result    %s: %s\n\n", c.Resolution, resultInWords(c))
	if err := showColumns(w, c); err != nil {
		return err
	}
	next := "nothing to do; every site settles it the same way"
	if c.Resolution == "parked" {
		next = "concord parked list"
	}
	fmt.Fprintf(w, "next: %s\n", next)
	return nil
}

func sideInWords(s *enginesite.ConflictSide) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", s.Op, s.Origin)
	if s.Commit != nil {
		fmt.Fprintf(&b, ", committed %s", s.Commit.Format("2006-01-02 15:04:05.000000 MST"))
	}
	if s.XID != 0 {
		fmt.Fprintf(&b, ", transaction id %d", s.XID)
	}
	fmt.Fprintf(&b, ", transaction %d of its stream, version %s", s.Seq, change.HLCString(s.HLC))
	return b.String()
}

func kindInWords(c *enginesite.Conflict) string {
	switch conflict.Kind(c.Kind) {
	case conflict.InsertExists:
		return "both sites inserted the row"
	case conflict.UpdateOriginDiffers:
		return "both sites wrote the row"
	case conflict.UpdateMissing, conflict.UpdateDeleted:
		return fmt.Sprintf("%s deleted the row, %s wrote it", c.Older.Origin, c.Newer.Origin)
	case conflict.DeleteOriginDiffers:
		return fmt.Sprintf("%s wrote the row, %s deleted it", c.Older.Origin, c.Newer.Origin)
	case conflict.DeleteMissing:
		return "both sites deleted the row"
	case conflict.MultipleUnique:
		return fmt.Sprintf("two rows have the same value of the unique key %s", c.Unique)
	}
	return ""
}

func resultInWords(c *enginesite.Conflict) string {
	gone := string(c.Result) == "null"
	switch {
	case c.Resolution == "parked" && c.Message != "":
		return c.Message
	case c.Resolution == "parked":
		return "a person decides"
	case c.Kind == string(conflict.MultipleUnique) && c.Resolution == "older":
		return "the row that had the value keeps it, the write that wanted it has no effect"
	case c.Kind == string(conflict.MultipleUnique):
		return "the row of the newer write has the value, the other row is deleted"
	case c.Resolution == "merged" && gone:
		return "the rule deletes the row"
	case c.Resolution == "merged":
		return "the rule made a row of both"
	}
	side, other := &c.Newer, &c.Older
	if c.Resolution == "older" {
		side, other = other, side
	}
	what := "its row stands"
	if gone {
		what = "the row is gone"
	}
	return fmt.Sprintf("%s's write wins over %s's: %s", side.Origin, other.Origin, what)
}

// showColumns prints the columns in which base, both rows and the result differ.
func showColumns(w io.Writer, c *enginesite.Conflict) error {
	heads := []string{"older: " + string(c.Older.Origin), "newer: " + string(c.Newer.Origin)}
	texts := []json.RawMessage{c.Older.Row, c.Newer.Row}
	if c.Base != nil {
		heads, texts = slices.Insert(heads, 0, "base"), slices.Insert(texts, 0, c.Base)
	}
	if c.Resolution != "parked" {
		heads, texts = append(heads, "result"), append(texts, c.Result)
	}
	images := make([]map[string]*string, len(texts))
	var key map[string]*string
	if err := json.Unmarshal(c.Key, &key); err != nil {
		return fmt.Errorf("reading the key of conflict %d: %w", c.ID, err)
	}
	names := map[string]bool{}
	for name := range key {
		names[name] = true
	}
	for i, text := range texts {
		if text == nil {
			continue
		}
		if err := json.Unmarshal(text, &images[i]); err != nil {
			return fmt.Errorf("reading a row of conflict %d: %w", c.ID, err)
		}
		for name := range images[i] {
			names[name] = true
		}
	}
	var rows, same []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		cells := make([]string, len(texts))
		differ := false
		for i := range texts {
			cells[i] = cellOf(texts[i], images[i], name)
			differ = differ || cells[i] != cells[0]
		}
		if !differ {
			same = append(same, name)
			continue
		}
		rows = append(rows, name+"\t"+strings.Join(cells, "\t"))
	}
	if len(rows) > 0 {
		table(w, "COLUMN\t"+strings.Join(heads, "\t"), rows)
	}
	if len(same) > 0 {
		fmt.Fprintf(w, "the same in all: %s\n", strings.Join(same, ", "))
	}
	fmt.Fprintln(w)
	return nil
}

// cellLimit is how much of a value a table shows.
const cellLimit = 60

// cellOf is a column of a row as a table shows it.
func cellOf(text json.RawMessage, image map[string]*string, name string) string {
	value, ok := image[name]
	switch {
	case text == nil:
		return "not known"
	case image == nil:
		return "(no row)"
	case !ok:
		return "(as it was)"
	case value == nil:
		return "NULL"
	}
	shown := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		return r
	}, *value)
	if runes := []rune(shown); len(runes) > cellLimit {
		shown = string(runes[:cellLimit-1]) + "…"
	}
	return shown
}
