package mysql

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/testcluster"
)

// With -foldtables=DIRECTORY the tables of internal/collation are written anew from what
// the servers say.
var foldTables = flag.String("foldtables", "", "write the tables of internal/collation there")

// foldSources says which server's collation each table is taken from, and which
// characters it has.
var foldSources = []struct {
	table     string
	product   testcluster.Product
	charset   string
	collation string
	unit      int // bytes of a weight
}{
	{"0900_ai_ci", testcluster.MySQL, "utf8mb4", "utf8mb4_0900_ai_ci", 2},
	{"general_ci", testcluster.MariaDB, "utf8mb4", "utf8mb4_general_nopad_ci", 2},
	{"unicode_ci", testcluster.MariaDB, "utf8mb4", "utf8mb4_unicode_nopad_ci", 2},
	{"unicode_520_ci", testcluster.MariaDB, "utf8mb4", "utf8mb4_unicode_520_nopad_ci", 2},
	{"uca1400_ai_ci", testcluster.MariaDB, "utf8mb4", "utf8mb4_uca1400_nopad_ai_ci", 2},
	{"latin1_swedish_ci", testcluster.MariaDB, "latin1", "latin1_swedish_nopad_ci", 1},
}

func TestWriteFoldTables(t *testing.T) {
	if *foldTables == "" {
		return // the tables stand beside the code that reads them
	}
	eachServer(t, func(t *testing.T, dsn string) {
		c := rootSession(t, dsn)
		for _, s := range foldSources {
			if strings.HasSuffix(t.Name(), "/"+string(s.product)) {
				t.Run(s.table, func(t *testing.T) {
					w := &foldWriter{t: t, c: c, charset: s.charset, collation: s.collation, unit: s.unit}
					w.write(*foldTables + "/" + s.table + ".gz")
				})
			}
		}
	})
}

func rootSession(t *testing.T, dsn string) *client.Conn {
	t.Helper()
	rest := strings.TrimPrefix(dsn, "mysql://")
	address := rest[strings.Index(rest, "@")+1:]
	address, _, _ = strings.Cut(address, "/")
	c, err := client.Connect(address, "admin", "adm", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// foldWriter finds which characters a collation holds equal.
type foldWriter struct {
	t         *testing.T
	c         *client.Conn
	charset   string
	collation string
	unit      int
	weights   map[rune]string
	letters   map[string]rune   // the character that stands for a weight
	whole     map[string][]rune // and for a row of weights that cannot be taken apart
}

func (w *foldWriter) query(sql string) [][]string {
	w.t.Helper()
	r, err := w.c.Execute(sql)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	var rows [][]string
	for i := range r.RowNumber() {
		var row []string
		for j := range r.ColumnNumber() {
			s, err := r.GetString(i, j)
			if err != nil {
				w.t.Fatal(err)
			}
			row = append(row, s)
		}
		rows = append(rows, row)
	}
	return rows
}

func (w *foldWriter) exec(sql string) {
	w.t.Helper()
	if _, err := w.c.Execute(sql); err != nil {
		w.t.Fatalf("%.200s: %v", sql, err)
	}
}

// characters makes a table of all characters up to the third plane, and some of the last;
// or without most of those that have a weight of their own each.
func characters(w *foldWriter, all bool) {
	own := func(r rune) bool {
		return r >= 0x3410 && r < 0xA000 || r >= 0xAC80 && r < 0xD780 || r >= 0xE100 && r < 0xF900 || r >= 0x11D00 && r < 0x1D100 || r >= 0x20010 && r < 0x2F800
	}
	w.exec("CREATE DATABASE IF NOT EXISTS fold")
	w.exec("DROP TABLE IF EXISTS fold.cp")
	w.exec("CREATE TABLE fold.cp (i INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, INDEX (c))")
	w.exec("SET SESSION sql_mode = ''")
	w.exec("SET NAMES utf8mb4")
	var values []string
	flush := func() {
		w.exec("INSERT INTO fold.cp VALUES " + strings.Join(values, ","))
		values = values[:0]
	}
	for r := rune(0); r <= 0xE01FF; r++ {
		if r == 0x32400 {
			r = 0xE0000
		}
		if r >= 0xD800 && r < 0xE000 || !all && own(r) {
			continue
		}
		values = append(values, fmt.Sprintf("(%d,_utf8mb4 x'%x')", r, string(r)))
		if len(values) == 20000 {
			flush()
		}
	}
	flush()
}

func (w *foldWriter) write(path string) {
	characters(w, true)
	w.weights, w.letters, w.whole = map[rune]string{}, map[string]rune{}, map[string][]rune{}
	only := ""
	if w.charset != "utf8mb4" {
		only = fmt.Sprintf(" WHERE CONVERT(CONVERT(c USING %s) USING utf8mb4) = c", w.charset)
	}
	for _, row := range w.query(fmt.Sprintf("SELECT i, HEX(WEIGHT_STRING(CONVERT(c USING %s) COLLATE %s)) FROM fold.cp%s ORDER BY i", w.charset, w.collation, only)) {
		var r rune
		fmt.Sscan(row[0], &r)
		raw, _ := hex.DecodeString(row[1])
		w.weights[r] = string(raw)
	}
	w.t.Logf("%d characters; a = %x, é = %x, A = %x, space = %x, ß = %x, 一 = %x, 0E40 = %x", len(w.weights),
		w.weights['a'], w.weights['é'], w.weights['A'], w.weights[' '], w.weights['ß'], w.weights['一'], w.weights[0xe40])
	runes := make([]rune, 0, len(w.weights))
	for r := range w.weights {
		runes = append(runes, r)
	}
	slices.Sort(runes)
	better := func(a, b rune) bool { // a stands for the weight rather than b
		if ua, ub := unicode.IsUpper(a), unicode.IsUpper(b); ua != ub {
			return ub
		}
		return a < b
	}
	for _, r := range runes {
		tokens := w.tokens(w.weights[r])
		if len(tokens) != 1 {
			continue
		}
		if old, ok := w.letters[tokens[0]]; !ok || better(r, old) {
			w.letters[tokens[0]] = r
		}
	}
	for _, r := range runes {
		if _, ok := w.spell(w.weights[r]); !ok && w.whole[w.weights[r]] == nil {
			w.whole[w.weights[r]] = []rune{r}
		}
	}
	var out bytes.Buffer
	var low, high rune
	run, to := "", ""
	emit := func() {
		switch {
		case run == "":
		case low == high:
			fmt.Fprintf(&out, "%X %s\n", low, spelled16(to))
		default:
			fmt.Fprintf(&out, "%X-%X %s\n", low, high, spelled16(to))
		}
	}
	for _, r := range runes {
		s := w.spelling(w.weights[r])
		if s == string(r) || r >= 0xAC00 && r <= 0xD7A3 && s == jamos(w, r) {
			continue
		}
		if run != "" && high+1 == r && to == s {
			high = r
			continue
		}
		emit()
		run, low, high, to = "run", r, r, s
	}
	emit()
	pairs := 0
	for _, p := range w.contractions() {
		fmt.Fprintf(&out, "%X+%X %s\n", p.a, p.b, spelled16(w.spelling(p.weight)))
		pairs++
	}
	for _, row := range []string{"\u0FB2\u0F71\u0F80", "\u0FB3\u0F71\u0F80"} { // the only ones of three
		if pairs > 0 {
			raw, _ := hex.DecodeString(w.query(fmt.Sprintf("SELECT HEX(WEIGHT_STRING(_utf8mb4 x'%x' COLLATE %s))", row, w.collation))[0][0])
			fmt.Fprintf(&out, "%s %s\n", strings.ReplaceAll(spelled16(row), " ", "+"), spelled16(w.spelling(string(raw))))
		}
	}
	w.t.Logf("%d bytes, %d pairs", out.Len(), pairs)
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	_, _ = z.Write(out.Bytes())
	if err := z.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func spelled16(s string) string {
	var parts []string
	for _, r := range s {
		parts = append(parts, fmt.Sprintf("%X", r))
	}
	return strings.Join(parts, " ")
}

// jamos is a Hangul syllable as its parts are spelled.
func jamos(w *foldWriter, r rune) string {
	s := r - 0xAC00
	out := w.spelling(w.weights[0x1100+s/588]) + w.spelling(w.weights[0x1161+s%588/28])
	if s%28 > 0 {
		out += w.spelling(w.weights[0x11A7+s%28])
	}
	return out
}

// tokens takes a weight apart: an implicit weight is two units.
func (w *foldWriter) tokens(weight string) []string {
	var out []string
	for len(weight) > 0 {
		n := w.unit
		if w.unit == 2 && len(weight) >= 4 && weight[0] >= 0xfb && w.collation != "utf8mb4_general_nopad_ci" {
			n = 4
		}
		n = min(n, len(weight))
		out, weight = append(out, weight[:n]), weight[n:]
	}
	return out
}

func (w *foldWriter) spell(weight string) (string, bool) {
	var out []rune
	for _, t := range w.tokens(weight) {
		r, ok := w.letters[t]
		if !ok {
			return "", false
		}
		out = append(out, r)
	}
	return string(out), true
}

func (w *foldWriter) spelling(weight string) string {
	if s, ok := w.spell(weight); ok {
		return s
	}
	r, ok := w.whole[weight]
	if !ok {
		w.t.Logf("nothing spells %x", weight)
		return "\uFFFF"
	}
	return string(r)
}

type contraction struct {
	a, b   rune
	weight string
}

// contractions finds the pairs that weigh other than their characters.
func (w *foldWriter) contractions() []contraction {
	if w.charset != "utf8mb4" || w.collation == "utf8mb4_general_nopad_ci" {
		return nil
	}
	w.exec("DROP TABLE IF EXISTS fold.block")
	w.exec("CREATE TABLE fold.block (i INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, w VARBINARY(80) NOT NULL)")
	w.exec(fmt.Sprintf("INSERT INTO fold.block SELECT i, c, WEIGHT_STRING(c COLLATE %s) FROM fold.cp WHERE i < 0x3400 OR i BETWEEN 0xA000 AND 0xABFF OR i BETWEEN 0x10000 AND 0x11FFF OR i BETWEEN 0x1E000 AND 0x1EFFF", w.collation))
	var all []contraction
	find := func(first, last, from, to rune) {
		for _, row := range w.query(fmt.Sprintf("SELECT a.i, b.i, HEX(WEIGHT_STRING(CONCAT(a.c, b.c) COLLATE %s)) FROM fold.block a JOIN fold.block b WHERE a.i BETWEEN %d AND %d AND b.i BETWEEN %d AND %d AND WEIGHT_STRING(CONCAT(a.c, b.c) COLLATE %[1]s) <> CONCAT(a.w, b.w)",
			w.collation, first, last, from, to)) {
			var c contraction
			fmt.Sscan(row[0], &c.a)
			fmt.Sscan(row[1], &c.b)
			raw, _ := hex.DecodeString(row[2])
			c.weight = string(raw)
			all = append(all, c)
		}
	}
	find(0x370, 0x52F, 0x300, 0x36F)
	for r := rune(0x580); r < 0x1E900; r += 0x80 {
		if r < 0x3400 || r >= 0xA000 && r < 0xAC00 || r >= 0x10800 && r < 0x12000 || r >= 0x1E000 {
			find(r, r+0x7f, r, r+0x7f)
		}
	}
	return all
}
