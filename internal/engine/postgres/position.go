package postgres

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// lsn is a byte position in the write-ahead log.
type lsn uint64

func (l lsn) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// position is the LSN as the rest of Concord carries it: "X/Y".
func (l lsn) position() change.Position { return change.Position(l.String()) }

// parseLSN reads "X/Y" in hexadecimal.
func parseLSN(s string) (lsn, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if ok {
		h, err1 := strconv.ParseUint(hi, 16, 32)
		l, err2 := strconv.ParseUint(lo, 16, 32)
		if err1 == nil && err2 == nil {
			return lsn(h<<32 | l), nil
		}
	}
	return 0, fmt.Errorf("reading log position %q: not of the form X/Y", s)
}

// Compare orders two log positions. An unparsable position counts as 0/0.
func (db *DB) Compare(a, b change.Position) int {
	la, _ := parseLSN(string(a))
	lb, _ := parseLSN(string(b))
	return cmp.Compare(la, lb)
}
