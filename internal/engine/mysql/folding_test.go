package mysql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	folding "github.com/concord-db/concord/internal/collation"
)

// knownCollations are those whose equal texts Concord tells without the server, at each
// product.
var knownCollations = map[string][]string{
	"mariadb": {"utf8mb4_general_ci", "utf8mb4_general_nopad_ci", "utf8mb3_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci",
		"utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_nopad_ai_ci", "latin1_swedish_ci", "latin1_swedish_nopad_ci", "ascii_general_ci"},
	"mysql": {"utf8mb4_0900_ai_ci", "utf8mb4_general_ci", "utf8mb3_general_ci", "utf8mb4_unicode_ci", "utf8mb4_unicode_520_ci", "latin1_swedish_ci", "ascii_general_ci"},
}

// Every character has one form exactly when the server gives it one weight.
func TestFormsAgreeWithTheServersWeights(t *testing.T) {
	eachServer(t, func(t *testing.T, dsn string) {
		w := &foldWriter{t: t, c: rootSession(t, dsn)}
		characters(w, false)
		for _, name := range knownCollations[t.Name()[strings.LastIndex(t.Name(), "/")+1:]] {
			charset, _, _ := strings.Cut(name, "_")
			rows := w.query(fmt.Sprintf("SELECT i, HEX(WEIGHT_STRING(CONVERT(c USING %s) COLLATE %s)) FROM fold.cp WHERE CONVERT(CONVERT(c USING %[1]s) USING utf8mb4) = c", charset, name))
			forms, weights, wrong := map[string]string{}, map[string]string{}, 0
			for _, row := range rows {
				var r rune
				fmt.Sscan(row[0], &r)
				form := string(folding.Append(nil, folding.Of(name), string(r)))
				weight := row[1]
				if spaces := " "; form == "" || weight == "" || r == ' ' || strings.TrimRight(form, spaces) == "" {
					continue // what pads is told from nothing below, by the server's own =
				}
				f, seen := forms[weight]
				v, had := weights[form]
				if (seen && f != form || had && v != weight) && wrong < 20 {
					t.Errorf("%s: %U has the weight %s and the form %q; other characters have the weight %s for that form, or the form %q for that weight", name, r, weight, form, v, f)
					wrong++
				}
				forms[weight], weights[form] = form, weight
			}
			t.Logf("%s: %d characters, %d weights", name, len(rows), len(forms))
		}
	})
}

// Texts made of what is hard to compare have one form exactly when the server's own =
// says that they are equal.
func TestFormsAgreeWithTheServersEquality(t *testing.T) {
	letters := []string{"a", "A", "á", "a\u0301", "ä", "à", "e", "é", "E", "s", "ß", "ss", "ẞ", "æ", "ae", "Œ", "oe", "ø", "o", "i", "İ", "ı", "I", "ñ", "n", "\u0303",
		" ", "  ", "\u00a0", "\t", "\x01", "\u00ad", "\u200b", "-", "_", "1", "¹", "①", "½", "Ａ", "ﬁ", "fi", "й", "и", "\u0306", "Й", "ё", "е", "Σ", "σ", "ς",
		"เ", "ก", "แ", "ข", "가", "\u1100", "\u1161", "一", "豈", "㈠", "(", ")", "か", "カ", "ｶ", "が", "\u3099", "ー", "😀", "😁", "\u0fb2", "\u0f71", "\u0f80", "ا", "\u0653", "آ"}
	latin := letters[:0:0]
	for _, l := range letters {
		if strings.IndexFunc(l, func(r rune) bool { return r > 0xff }) < 0 {
			latin = append(latin, l)
		}
	}
	eachServer(t, func(t *testing.T, dsn string) {
		w := &foldWriter{t: t, c: rootSession(t, dsn)}
		w.exec("SET NAMES utf8mb4")
		r := rand.New(rand.NewPCG(1, 2))
		for _, name := range knownCollations[t.Name()[strings.LastIndex(t.Name(), "/")+1:]] {
			charset, _, _ := strings.Cut(name, "_")
			from := letters
			switch charset {
			case "latin1":
				from = latin
			case "ascii":
				from = []string{"a", "A", "b", "B", " ", "-", "\x01", "1"}
			case "utf8mb3":
				from = letters[:64]
			}
			text := func(n int) string {
				var s strings.Builder
				for range n {
					s.WriteString(from[r.IntN(len(from))])
				}
				return s.String()
			}
			var pairs [][2]string
			for _, a := range from {
				for _, b := range from {
					pairs = append(pairs, [2]string{a, b})
				}
			}
			for range 4000 {
				a, b := text(r.IntN(4)), text(r.IntN(4))
				pairs = append(pairs, [2]string{a, b})
				parts := strings.SplitAfter(a, "")
				for i := range parts { // the same with letters that may be equal
					switch parts[i] {
					case "a", "A", "á", "ä":
						parts[i] = []string{"a", "A", "á", "ä"}[r.IntN(4)]
					case "e", "E", "é":
						parts[i] = []string{"e", "E", "é"}[r.IntN(3)]
					}
				}
				if from[0] == "a" && charset != "ascii" {
					pairs = append(pairs, [2]string{a, strings.Join(parts, "") + []string{"", " "}[r.IntN(2)]})
				}
			}
			equal, wrong := 0, 0
			for at := 0; at < len(pairs); at += 500 {
				batch := pairs[at:min(at+500, len(pairs))]
				terms := make([]string, len(batch))
				for i, p := range batch {
					terms[i] = fmt.Sprintf("(CONVERT(_utf8mb4 x'%x' USING %s) = CONVERT(_utf8mb4 x'%x' USING %[2]s) COLLATE %[4]s)", p[0], charset, p[1], name)
				}
				for i, said := range w.query("SELECT " + strings.Join(terms, ","))[0] {
					a, b := batch[i][0], batch[i][1]
					same := string(folding.Append(nil, folding.Of(name), a)) == string(folding.Append(nil, folding.Of(name), b))
					if same {
						equal++
					}
					if same != (said == "1") && wrong < 20 {
						t.Errorf("%s: %+q = %+q: the server says %s, their forms %t", name, a, b, said, same)
						wrong++
					}
				}
			}
			t.Logf("%s: %d pairs, %d of them equal", name, len(pairs), equal)
		}
	})
}
