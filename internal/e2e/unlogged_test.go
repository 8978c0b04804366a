package e2e

import (
	"strings"
	"testing"
	"time"
)

// Without REPLICA IDENTITY FULL a rule in Starlark and rules for columns cannot decide:
// what arrived waits at both sites, with the reason; nothing is guessed. When a person has
// settled it and the table logs whole rows, the next conflict is decided.
func TestRulesThatLackTheRowBeforePark(t *testing.T) {
	p := newPair(t, pairOptions{
		versions: []int{15, 18},
		schema: `CREATE TABLE marker (id text PRIMARY KEY);
			CREATE TABLE words (id int PRIMARY KEY, v text);
			CREATE TABLE stock (id int PRIMARY KEY, n int);
			INSERT INTO words VALUES (1, 'start'), (2, 'start'); INSERT INTO stock VALUES (1, 10), (2, 10)`,
		files: map[string]string{"words.star": "def both(older, newer, base):\n    return newer.replace(v = (base.v if base else 'none') + '>' + older.v + '>' + newer.v)\n"},
		rules: "[[table]]\nmatch = \"public.words\"\nconflict = \"words.star:both\"\n[[table]]\nmatch = \"public.stock\"\ncolumns = { n = \"sum\" }\n" + defaultRules,
	})
	for _, s := range p.sites {
		s.start()
	}
	p.quiesce(60 * time.Second)
	collide := func(id string) {
		p.a.proxy.Cut()
		p.b.proxy.Cut()
		p.a.exec("UPDATE words SET v = 'a' WHERE id = " + id + "; UPDATE stock SET n = n + 1 WHERE id = " + id)
		p.b.exec("UPDATE words SET v = 'b' WHERE id = " + id + "; UPDATE stock SET n = n + 5 WHERE id = " + id)
		p.a.proxy.Heal()
		p.b.proxy.Heal()
		p.quiesce(60 * time.Second)
	}
	collide("1")
	for _, s := range p.sites {
		got := strings.Join(s.query("SELECT table_name || ': ' || message FROM concord.parked ORDER BY table_name"), "\n")
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, "public.words: the log does not have the row before the change: the table needs REPLICA IDENTITY FULL") || !strings.Contains(got, "public.stock: ") {
			t.Errorf("%s: parked:\n%s", s.name, got)
		}
	}
	for _, s := range p.sites {
		s.exec("ALTER TABLE words REPLICA IDENTITY FULL; ALTER TABLE stock REPLICA IDENTITY FULL")
	}
	p.settle()
	p.requireEqual()
	collide("2")
	for _, s := range p.sites {
		for _, id := range s.query("SELECT id FROM concord.parked ORDER BY id") {
			t.Errorf("%s: still parked: %s", s.name, strings.Join(s.query("SELECT message FROM concord.parked WHERE id = "+id), ""))
		}
	}
	p.requireEqual()
	if v := p.a.one("SELECT v FROM words WHERE id = 2"); v != "start>a>b" && v != "start>b>a" {
		t.Errorf("the rule made %q", v)
	}
	if n := p.a.one("SELECT n FROM stock WHERE id = 2"); n != "16" {
		t.Errorf("10 + 1 + 5 is %s", n)
	}
}
