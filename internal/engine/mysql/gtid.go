package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"
)

// gtidSet is a set of transactions: what has been read up to a place in the log. It can
// be understood by every server of a replication topology, whatever its files are
// called, so it is what reading resumes by.
type gtidSet interface {
	// String is the set as the server writes it, without spaces.
	String() string
	// covers reports whether every transaction of other is in the set.
	covers(other gtidSet) bool
	clone() gtidSet
}

// parseGTIDs reads a set of the flavor. The empty text is the empty set.
func parseGTIDs(f flavor, text string) (gtidSet, error) {
	text = strings.Join(strings.Fields(text), "") // the server breaks lines
	if f == mariaDB {
		return parseDomains(text)
	}
	set, err := gomysql.ParseMysqlGTIDSet(text)
	if err != nil {
		return nil, fmt.Errorf("reading the GTID set %q: %w", text, err)
	}
	return &intervals{set.(*gomysql.MysqlGTIDSet)}, nil
}

// intervals is a set of MySQL: per UUID and tag, intervals of numbers.
type intervals struct{ set *gomysql.MysqlGTIDSet }

func (s *intervals) String() string { return s.set.String() }

func (s *intervals) covers(other gtidSet) bool {
	o, ok := other.(*intervals)
	return ok && s.set.Contain(o.set)
}

func (s *intervals) clone() gtidSet {
	return &intervals{s.set.Clone().(*gomysql.MysqlGTIDSet)}
}

// add puts a transaction into the set.
func (s *intervals) add(sid []byte, tag gomysql.Tag, number int64) error {
	u, err := uuid.FromBytes(sid)
	if err != nil {
		return fmt.Errorf("reading a GTID: %w", err)
	}
	s.set.AddGTIDWithTag(u, tag, number)
	return nil
}

// domains is a set of MariaDB: per domain the last transaction, which stands for all
// before it.
type domains map[uint32]domainGTID

type domainGTID struct {
	server uint32
	seq    uint64
}

func parseDomains(text string) (domains, error) {
	d := domains{}
	if text == "" {
		return d, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		part := strings.Split(one, "-")
		if len(part) != 3 {
			return nil, fmt.Errorf("reading the GTID position %q: not of the form domain-server-number", text)
		}
		domain, err1 := strconv.ParseUint(part[0], 10, 32)
		server, err2 := strconv.ParseUint(part[1], 10, 32)
		seq, err3 := strconv.ParseUint(part[2], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("reading the GTID position %q: not of the form domain-server-number", text)
		}
		d[uint32(domain)] = domainGTID{uint32(server), seq}
	}
	return d, nil
}

func (d domains) String() string {
	var keys []uint32
	for k := range d {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b := make([]byte, 0, 16*len(keys))
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(k), 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(d[k].server), 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, d[k].seq, 10)
	}
	return string(b)
}

func (d domains) covers(other gtidSet) bool {
	o, ok := other.(domains)
	if !ok {
		return false
	}
	for k, v := range o {
		if d[k].seq < v.seq {
			return false
		}
	}
	return true
}

func (d domains) clone() gtidSet {
	c := make(domains, len(d))
	for k, v := range d {
		c[k] = v
	}
	return c
}
