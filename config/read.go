package config

import (
	"regexp"
	"time"
)

// nameRule is what the names of clusters and sites must be: they become parts of
// the names of replication slots, streams and environment variables.
var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

const nameRemedy = "a lower-case letter, then at most 30 lower-case letters, digits or _"

// read fills the configuration from the document. Sites come first, whatever their
// place in the file: policies name them.
func (r *reader) read() {
	root := r.doc.root
	var cluster, sites, defaults, tables *entry
	keep := func(to **entry) func(*entry) { return func(e *entry) { *to = e } }
	r.section(root, "the file", []field{
		{"cluster", keep(&cluster)},
		{"defaults", keep(&defaults)},
		{"site", keep(&sites)},
		{"table", keep(&tables)},
	})
	r.readCluster(cluster)
	r.readSites(sites)
	names := r.siteNames(sites)
	r.readDefaults(defaults, names)
	for i := range r.cfg.Sites {
		if s := &r.cfg.Sites[i]; s.WindowMemory == 0 {
			s.WindowMemory = r.cfg.Defaults.WindowMemory
		}
	}
	r.readTables(tables, names)
	r.problems = append(r.problems, r.doc.problems...)
	if len(r.problems) == 0 {
		r.doc.confirm()
		r.problems = r.doc.problems
	}
}

func (r *reader) readCluster(e *entry) {
	const sample = `write cluster = "shop" at the top of the file`
	if e == nil {
		r.missing(span{}, sample, `"cluster" is missing`)
		return
	}
	s, ok := r.text(e, `"shop"`)
	if ok && !nameRule.MatchString(s) {
		r.fail(e.value.at, nameRemedy, "%q is not a name for a cluster", s)
		return
	}
	r.cfg.Cluster = s
}

func (r *reader) readDefaults(e *entry, sites []string) {
	if e == nil {
		return
	}
	if e.value.kind != kindTable {
		r.fail(e.key, "write [defaults] on a line of its own, and its keys below", `"defaults" must be a section`)
		return
	}
	d := &r.cfg.Defaults
	r.section(e.value, "[defaults]", []field{
		{"conflict", func(e *entry) { r.policy(e, sites, &d.Conflict) }},
		{"on_error", func(e *entry) { r.onError(e, &d.OnError) }},
		{"max_clock_drift", func(e *entry) { r.duration(e, time.Second, 30*24*time.Hour, &d.MaxClockDrift) }},
		{"fence_timeout", func(e *entry) { r.duration(e, 10*time.Millisecond, time.Minute, &d.FenceTimeout) }},
		{"max_lag", func(e *entry) { r.duration(e, time.Second, 30*24*time.Hour, &d.MaxLag) }},
		{"stream_max_bytes", func(e *entry) { r.size(e, 1e6, &d.StreamMaxBytes) }},
		{"window_memory", func(e *entry) { r.size(e, 1<<20, &d.WindowMemory) }},
		{"conflict_retention", func(e *entry) { r.duration(e, time.Hour, 3650*24*time.Hour, &d.ConflictRetention) }},
		{"conflict_max", func(e *entry) { r.count(e, 1000, 1_000_000_000, &d.ConflictMax) }},
	})
}

func (r *reader) onError(e *entry, to *OnError) {
	s, ok := r.text(e, `"park"`)
	if !ok {
		return
	}
	if s != string(Park) && s != string(Stop) {
		r.fail(e.value.at, `"park" sets the change aside and goes on, "stop" stops the link`,
			"%q must be \"park\" or \"stop\"%s", e.name, didYouMean(s, []string{string(Park), string(Stop)}))
		return
	}
	*to = OnError(s)
}
