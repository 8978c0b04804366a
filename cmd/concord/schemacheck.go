package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
	"github.com/concord-db/concord/internal/logical"
)

// schemaChecks compares the tables that two sites both publish. Each pair of sites is
// compared, in the order of names; sites without an answer are left out. One check
// says that all is well.
func schemaChecks(cfg *config.Config, names []change.Site, schemas map[change.Site][]enginesite.Table) (out []siteCheck) {
	var present []change.Site
	for _, n := range names {
		if _, ok := schemas[n]; ok {
			present = append(present, n)
		}
	}
	if len(present) < 2 {
		return nil
	}
	tables := map[string]bool{}
	for i, a := range present {
		for _, b := range present[i+1:] {
			p := schemaPair{cfg: cfg, a: a, b: b, at: map[change.Site]map[string]enginesite.Table{a: byName(schemas[a]), b: byName(schemas[b])}, share: shares(cfg)}
			for _, name := range slices.Sorted(maps.Keys(p.both())) {
				if cfg.Replicated(name, a) && cfg.Replicated(name, b) {
					tables[name] = true
					p.compare(name)
				}
			}
			out = append(out, p.found...)
		}
	}
	if len(out) == 0 {
		out = append(out, siteCheck{Check: enginesite.Check{Name: "schemas", Status: enginesite.OK, Detail: fmt.Sprintf("%d tables alike at %s", len(tables), join(present))}})
	}
	return out
}

// shares is each site's place in the configuration, from 1, and how many there are: it
// takes the numbers of a sequence that leave its place as remainder.
func shares(cfg *config.Config) map[change.Site]int64 {
	out := map[change.Site]int64{}
	for i, n := range cfg.Names() {
		out[n] = int64(i) + 1
	}
	return out
}

func byName(tables []enginesite.Table) map[string]enginesite.Table {
	out := map[string]enginesite.Table{}
	for _, t := range tables {
		out[t.Name] = t
	}
	return out
}

// tableNames lists the tables that some site has.
func tableNames(schemas map[change.Site][]enginesite.Table) []string {
	names := map[string]bool{}
	for _, tables := range schemas {
		for _, t := range tables {
			names[t.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// schemaPair compares two sites.
type schemaPair struct {
	cfg   *config.Config
	a, b  change.Site
	at    map[change.Site]map[string]enginesite.Table
	share map[change.Site]int64
	found []siteCheck
}

func (p *schemaPair) both() map[string]bool {
	names := map[string]bool{}
	for _, tables := range p.at {
		for name := range tables {
			names[name] = true
		}
	}
	return names
}

func (p *schemaPair) add(at change.Site, table string, status enginesite.Status, detail, remedy string) {
	p.found = append(p.found, siteCheck{Site: at, Check: enginesite.Check{Name: "table " + table, Status: status, Detail: detail, Remedy: remedy}})
}

func (p *schemaPair) compare(name string) {
	ta, inA := p.at[p.a][name]
	tb, inB := p.at[p.b][name]
	switch {
	case !inA:
		p.missingTable(name, p.b, p.a)
		return
	case !inB:
		p.missingTable(name, p.a, p.b)
		return
	}
	p.missingColumns(name, p.a, p.b, ta, tb)
	p.missingColumns(name, p.b, p.a, tb, ta)
	for i := range ta.Columns {
		c := &ta.Columns[i]
		at := slices.IndexFunc(tb.Columns, func(o enginesite.Column) bool { return o.Name == c.Name })
		if at < 0 {
			continue
		}
		key := slices.Contains(ta.Key, c.Name) || slices.Contains(tb.Key, c.Name)
		switch other := &tb.Columns[at]; {
		case p.engine(p.a) != p.engine(p.b):
			p.crosses(name, p.a, p.b, c, other, key)
			p.crosses(name, p.b, p.a, other, c, key)
		case key && c.Kind == other.Kind && c.Collation != other.Collation:
			p.add(p.b, name, enginesite.Critical,
				fmt.Sprintf("%s.%s compares texts as %s does at %s and as %s does at %s: they would not agree which rows are one. Changes of the table wait", name, c.Name, c.Collation, p.a, other.Collation, p.b),
				"give the key column one collation at both sites, with ALTER TABLE … MODIFY")
		case other.Type != c.Type:
			p.add(p.b, name, enginesite.Warning,
				fmt.Sprintf("%s.%s is %s at %s and %s at %s: a value that one of them cannot hold is parked there", name, c.Name, c.Type, p.a, other.Type, p.b),
				fmt.Sprintf("give the column one type at both sites: ALTER TABLE %s ALTER COLUMN %s TYPE %s", quoted(name), quotedOne(c.Name), c.Type))
		}
	}
	if !slices.Equal(ta.Key, tb.Key) {
		p.add(p.b, name, enginesite.Critical,
			fmt.Sprintf("%s is known by (%s) at %s and by (%s) at %s: the sites would not mean the same row", name, strings.Join(ta.Key, ", "), p.a, strings.Join(tb.Key, ", "), p.b),
			"give the table the same primary key, or the same REPLICA IDENTITY USING INDEX, at both sites")
	}
	p.compareSequences(name, ta, tb)
}

// engine names the engine of a site.
func (p *schemaPair) engine(n change.Site) string {
	s, _ := p.cfg.Site(n)
	return s.DSN.Engine()
}

// crosses tells of a column whose values do not go from one engine into the other.
func (p *schemaPair) crosses(name string, from, to change.Site, c, other *enginesite.Column, key bool) {
	v := logical.Pair(crossingType(p.engine(from), c), crossingType(p.engine(to), other), key)
	if v.Fit != logical.Refused {
		return
	}
	p.add(to, name, enginesite.Critical,
		fmt.Sprintf("%s.%s is %s at %s (%s) and %s at %s (%s): %s. Changes of the table that come from %s wait", name, c.Name, c.Type, from, p.engine(from), other.Type, to, p.engine(to), v.Reason, from),
		v.Remedy)
}

func crossingType(engine string, c *enginesite.Column) logical.Type {
	t := logical.Of(engine, change.Column{Name: c.Name, Type: c.Type, Kind: c.Kind, Collation: c.Collation})
	if t.Labels == nil {
		t.Labels = c.Labels
	}
	return t
}

func (p *schemaPair) missingTable(name string, at, lacking change.Site) {
	remedy := fmt.Sprintf("create it at %s as it is at %s", lacking, at)
	if local, _ := p.cfg.NamesAt(lacking).Local(name); local != name {
		remedy += ", under the name " + local
	}
	if p.engine(at) == "postgres" && p.engine(lacking) == "postgres" {
		local, _ := p.cfg.NamesAt(at).Local(name)
		remedy += fmt.Sprintf(" (pg_dump --schema-only --table='%s')", quoted(local))
	}
	p.add(lacking, name, enginesite.Critical,
		fmt.Sprintf("%s is at %s and not at %s: its changes wait there until it exists", name, at, lacking), remedy+", or exclude it in the configuration")
}

func (p *schemaPair) missingColumns(name string, at, lacking change.Site, has, lacks enginesite.Table) {
	for _, c := range has.Columns {
		if !slices.ContainsFunc(lacks.Columns, func(o enginesite.Column) bool { return o.Name == c.Name }) {
			p.add(lacking, name, enginesite.Critical,
				fmt.Sprintf("%s.%s is at %s and not at %s: changes that write it wait there until it exists", name, c.Name, at, lacking),
				fmt.Sprintf("at %s: ALTER TABLE %s ADD COLUMN %s %s", lacking, quoted(name), quotedOne(c.Name), c.Type))
		}
	}
}

// compareSequences finds numbers that both sites would give out. Two sequences never
// meet when their distance is not a multiple of what both steps have in common.
func (p *schemaPair) compareSequences(name string, ta, tb enginesite.Table) {
	for _, sa := range ta.Sequences {
		i := slices.IndexFunc(tb.Sequences, func(s enginesite.Sequence) bool { return s.Column == sa.Column })
		if i < 0 {
			continue
		}
		sb := tb.Sequences[i]
		if common := gcd(sa.Increment, sb.Increment); common > 1 && (sa.Last-sb.Last)%common != 0 {
			continue
		}
		status := enginesite.Warning
		if slices.Contains(ta.Key, sa.Column) {
			status = enginesite.Critical
		}
		p.add("", name, status,
			fmt.Sprintf("%s.%s takes the same numbers at %s (%d, in steps of %d) and at %s (%d, in steps of %d): different rows would get one number", name, sa.Column, p.a, sa.Last, sa.Increment, p.b, sb.Last, sb.Increment),
			fmt.Sprintf("at %s: %s; at %s: %s", p.a, p.alter(sa, p.a, max(sa.Last, sb.Last)), p.b, p.alter(sb, p.b, max(sa.Last, sb.Last))))
	}
}

// alter gives a sequence its site's share of the numbers behind top.
func (p *schemaPair) alter(s enginesite.Sequence, at change.Site, top int64) string {
	n := int64(len(p.share))
	if s.Server {
		return fmt.Sprintf("SET GLOBAL auto_increment_increment = %d, GLOBAL auto_increment_offset = %d, and both in the server's configuration", n, p.share[at])
	}
	next := top - top%n + n + p.share[at]%n
	return fmt.Sprintf("ALTER SEQUENCE %s INCREMENT BY %d RESTART WITH %d", s.Name, n, next)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

// quoted writes schema.name as SQL does.
func quoted(name string) string {
	schema, table, _ := strings.Cut(name, ".")
	return quotedOne(schema) + "." + quotedOne(table)
}

func quotedOne(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func join(names []change.Site) string {
	text := make([]string, len(names))
	for i, n := range names {
		text[i] = string(n)
	}
	return strings.Join(text, ", ")
}
