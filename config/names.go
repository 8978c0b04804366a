package config

import (
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// naming is what a rule says of the names at its sites: the keys names and column_names
// of a [[table]]. The nil naming renames nothing.
type naming struct {
	tables  map[change.Site]string            // schema.table, or schema.* for all of a schema
	columns map[change.Site]map[string]string // by the name in the cluster
	back    map[change.Site]map[string]string // by the name at the site
}

// NamesAt returns what tables and columns are called at a site.
func (c *Config) NamesAt(site change.Site) Names { return Names{c, site} }

// Names translates between the names that the cluster uses - those that match means,
// that frames, conflicts and messages have - and those of the tables at one site.
type Names struct {
	cfg  *Config
	site change.Site
}

// Plain reports that nothing has another name at the site.
func (n Names) Plain() bool {
	for i := range n.cfg.Rules {
		if r := n.cfg.Rules[i].naming; r != nil && (r.tables[n.site] != "" || r.columns[n.site] != nil) {
			return false
		}
	}
	return true
}

// Local returns what a table of the cluster, named "schema.table", is called at the site.
// False: another table of the cluster has that name there.
func (n Names) Local(cluster string) (string, bool) {
	local := n.forward(cluster)
	back, ok := n.Cluster(local)
	return local, ok && back == cluster
}

func (n Names) forward(cluster string) string {
	rule, ok := n.cfg.Rule(cluster)
	if !ok || rule.naming == nil || rule.naming.tables[n.site] == "" {
		return cluster
	}
	return substitute(rule.naming.tables[n.site], cluster)
}

// substitute gives a name the schema, and the table unless it is *, of another.
func substitute(to, name string) string {
	schema, table, _ := strings.Cut(to, ".")
	if table == "*" {
		_, table, _ = strings.Cut(name, ".")
	}
	return schema + "." + table
}

// Cluster returns what the cluster calls a table of the site. False: no rule means it.
func (n Names) Cluster(local string) (string, bool) {
	schema, table, ok := strings.Cut(local, ".")
	if !ok || table == "" || Reserved(schema) {
		return "", false
	}
	for i := range n.cfg.Rules {
		rule := &n.cfg.Rules[i]
		cluster := local
		if to := rule.naming.at(n.site); to != "" {
			if substitute(to, local) != local {
				continue
			}
			cluster = substitute(rule.Patterns[0], local)
		}
		// The first rule that matches the name decides about it, also backwards.
		if by, ok := n.cfg.Rule(cluster); ok && by.Index == rule.Index {
			return cluster, true
		}
	}
	return "", false
}

func (n *naming) at(site change.Site) string {
	if n == nil {
		return ""
	}
	return n.tables[site]
}

// LocalColumn returns what a column of a table of the cluster is called at the site, and
// ClusterColumn what the cluster calls one of the site.
func (n Names) LocalColumn(cluster, column string) string {
	if rule, ok := n.cfg.Rule(cluster); ok && rule.naming != nil {
		if local := rule.naming.columns[n.site][column]; local != "" {
			return local
		}
	}
	return column
}

// ClusterColumn is LocalColumn backwards.
func (n Names) ClusterColumn(cluster, local string) string {
	if rule, ok := n.cfg.Rule(cluster); ok && rule.naming != nil {
		if column := rule.naming.back[n.site][local]; column != "" {
			return column
		}
	}
	return local
}

const namesSample = `with match = "public.orders" write names = { pune = "shop.orders" }, with match = "public.*" names = { pune = "shop.*" }`

// readNames reads what the rule's tables are called at the sites.
func (r *reader) readNames(e *entry, sites []string, rule *Rule) {
	if e.value.kind != kindTable {
		r.fail(e.value.at, namesSample, "%q must be a table of sites with their names, not %s", e.name, e.value.kind)
		return
	}
	if len(rule.Patterns) != 1 || !oneOrAll(rule.Patterns[0]) {
		r.fail(e.key, namesSample, "names need a match that is one table, or all tables of one schema")
		return
	}
	rule.needNaming().tables = map[change.Site]string{}
	for _, s := range e.value.entries {
		text, ok := r.text(s, `"shop.orders"`)
		if !ok || !r.isSite(s, sites) {
			continue
		}
		if _, f := parsePattern(text); f != nil {
			r.fail(s.value.at, f.remedy, "%s", f.message)
			continue
		}
		if !oneOrAll(text) || strings.HasSuffix(text, ".*") != strings.HasSuffix(rule.Patterns[0], ".*") {
			r.fail(s.value.at, namesSample, "%q is not a name for %q", text, rule.Patterns[0])
			continue
		}
		if other := r.alsoNamed(change.Site(s.name), text); other != nil {
			r.fail(s.value.at, "give each table a name of its own", "%q is what the [[table]] on line %d has at %s already", text, other.Line, s.name)
			continue
		}
		rule.naming.tables[change.Site(s.name)] = text
	}
}

// alsoNamed returns the earlier rule with that name at the site.
func (r *reader) alsoNamed(site change.Site, text string) *Rule {
	for i := range r.cfg.Rules {
		if r.cfg.Rules[i].naming.at(site) == text {
			return &r.cfg.Rules[i]
		}
	}
	return nil
}

// readColumnNames reads what the columns of the rule's tables are called at the sites.
func (r *reader) readColumnNames(e *entry, sites []string, rule *Rule) {
	const sample = `write column_names = { pune = { total = "total_amount" } }`
	if e.value.kind != kindTable {
		r.fail(e.value.at, sample, "%q must be a table of sites, not %s", e.name, e.value.kind)
		return
	}
	n := rule.needNaming()
	n.columns, n.back = map[change.Site]map[string]string{}, map[change.Site]map[string]string{}
	for _, s := range e.value.entries {
		if !r.isSite(s, sites) {
			continue
		}
		if s.value.kind != kindTable {
			r.fail(s.value.at, sample, "%q must be a table of columns with their names, not %s", s.name, s.value.kind)
			continue
		}
		there, back := map[string]string{}, map[string]string{}
		for _, c := range s.value.entries {
			local, ok := r.text(c, `"total_amount"`)
			switch {
			case !ok:
			case back[local] != "":
				r.fail(c.value.at, "give each column a name of its own", "%q is what the column %s is called already", local, back[local])
			default:
				there[c.name], back[local] = local, c.name
			}
		}
		// A name that is taken away from a column must not be left to it.
		for cluster, local := range there {
			if there[local] == "" && local != cluster {
				back[cluster] = orElse(back[cluster], cluster+" of "+s.name)
			}
		}
		n.columns[change.Site(s.name)], n.back[change.Site(s.name)] = there, back
	}
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

func (rule *Rule) needNaming() *naming {
	if rule.naming == nil {
		rule.naming = &naming{}
	}
	return rule.naming
}

func (r *reader) isSite(e *entry, sites []string) bool {
	for _, known := range sites {
		if e.name == known {
			return true
		}
	}
	if sites != nil {
		r.fail(e.key, siteRemedy(sites), "there is no site %q%s", e.name, didYouMean(e.name, sites))
	}
	return false
}

// oneOrAll reports whether a pattern is one table, or all of one schema.
func oneOrAll(pattern string) bool {
	schema, table, _ := strings.Cut(pattern, ".")
	return !strings.ContainsAny(schema, `*?[\`) && (table == "*" || !strings.ContainsAny(table, `*?[\`))
}
