package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/change"
)

const siteSample = `add a section for each data centre: [site.mumbai], and below it dsn, http and bus`

// siteNames returns the names of all sites that the file has, right or wrong; nil
// when they are not all known.
func (r *reader) siteNames(e *entry) []string {
	if e == nil || r.doc.cut || e.value.kind != kindTable {
		return nil
	}
	names := []string{}
	for _, s := range e.value.entries {
		names = append(names, s.name)
	}
	return names
}

func (r *reader) readSites(e *entry) {
	switch {
	case e == nil:
		r.missing(span{}, siteSample, "there is no [site.NAME] section")
		return
	case e.value.kind != kindTable:
		r.fail(e.key, siteSample, `"site" must be sections [site.NAME]`)
		return
	case len(e.value.entries) == 0:
		r.missing(e.key, siteSample, "there is no [site.NAME] section")
	}
	taken := map[string]taker{}
	for _, s := range e.value.entries {
		if s.value.kind != kindTable {
			r.fail(s.key, siteSample, "\"site.%s\" must be a section [site.%s]", s.name, s.name)
			continue
		}
		if !nameRule.MatchString(s.name) {
			r.fail(s.key, nameRemedy, "%q is not a name for a site%s", s.name, plainName(s.name))
		}
		one := siteReader{reader: r, own: s, taken: taken, site: Site{Name: change.Site(s.name)}}
		r.cfg.Sites = append(r.cfg.Sites, one.read())
	}
	r.checkReach()
}

// plainName suggests the name without what a name cannot have.
func plainName(name string) string {
	if plain := strings.ReplaceAll(strings.ToLower(name), "-", "_"); nameRule.MatchString(plain) {
		return fmt.Sprintf("; did you mean %q?", plain)
	}
	return ""
}

// taker is the first to use an address that only one may use.
type taker struct {
	key, site string
	line      int
}

// siteReader reads one [site.NAME].
type siteReader struct {
	*reader
	own   *entry
	site  Site
	taken map[string]taker // by address, over all sites
}

func (s *siteReader) read() Site {
	where := "[site." + s.own.name + "]"
	needed := []field{{"dsn", s.dsn}, {"http", s.http}, {"bus", s.bus}}
	s.section(s.own.value, where, slices.Concat(needed, []field{
		{"data", s.path(&s.site.Data, "/var/lib/concord")},
		{"password_file", s.passwordFile},
		{"window_memory", func(e *entry) { s.size(e, 1<<20, &s.site.WindowMemory) }},
	}, s.busFields()))
	for _, f := range needed {
		if s.own.value.find(f.name) == nil {
			s.missing(s.own.key, "add "+f.name+" = "+siteExamples[f.name], "%q is missing in %s", f.name, where)
		}
	}
	if file := s.own.value.find("password_file"); file != nil && s.site.DSN.HasPassword() {
		s.fail(file.key, "remove the password from dsn", "site %s has a password_file and a password in its dsn", s.site.Name)
	}
	s.checkBusFields()
	if s.site.Data == "" {
		s.site.Data = s.cfg.resolve("data/" + s.own.name)
	}
	return s.site
}

var siteExamples = map[string]string{
	"dsn":  `"postgres://concord@10.1.0.5/shop"`,
	"http": `"127.0.0.1:8480"`,
	"bus":  `"127.0.0.1:8422"`,
}

func (s *siteReader) refuse(e *entry, f *fault) { s.fail(e.value.at, f.remedy, "%s", f.message) }

// take refuses what another site, or another key, has taken.
func (s *siteReader) take(e *entry, address string) {
	if o, ok := s.taken[address]; ok {
		s.fail(e.value.at, "give each its own; all sites share this file",
			"%s of site %s is the same as %s of site %s on line %d", e.name, s.site.Name, o.key, o.site, o.line)
		return
	}
	s.taken[address] = taker{e.name, s.own.name, s.doc.line(e.value.at)}
}

func (s *siteReader) dsn(e *entry) {
	text, ok := s.text(e, siteExamples[e.name])
	if !ok {
		return
	}
	d, f := parseDSN(text)
	if f != nil {
		s.refuse(e, f)
		return
	}
	s.site.DSN, s.site.dsnAt = d, s.doc.problem(e.key, "", "")
	if place := d.place(); place != "" {
		s.take(e, "database "+place)
	}
}

func (s *siteReader) http(e *entry) {
	text, ok := s.text(e, siteExamples[e.name])
	if !ok {
		return
	}
	if f := checkAddress(e.name, text); f != nil {
		s.refuse(e, f)
		return
	}
	s.site.HTTP = text
	s.take(e, "address "+strings.ToLower(text))
}

func (s *siteReader) bus(e *entry) {
	text, ok := s.text(e, siteExamples[e.name])
	if !ok {
		return
	}
	b, f := parseBus(text)
	if f != nil {
		s.refuse(e, f)
		return
	}
	s.site.Bus.endpoint = b
	if b.embedded() {
		s.take(e, "address "+strings.ToLower(text))
	}
}

// path reads the name of a file or directory.
func (s *siteReader) path(to *string, example string) func(*entry) {
	return func(e *entry) {
		if p, ok := s.text(e, fmt.Sprintf("%q", example)); ok {
			*to = s.cfg.resolve(p)
		}
	}
}

func (s *siteReader) passwordFile(e *entry) {
	s.path(&s.site.PasswordFile, "/run/credentials/concord")(e)
	s.site.passwordAt = s.doc.problem(e.key, "", "")
}

// busFields are the keys that mean something for an external bus only.
func (s *siteReader) busFields() []field {
	b := &s.site.Bus
	return []field{
		{"bus_credentials", s.path(&b.Credentials, "/etc/concord/nats.creds")},
		{"bus_nkey", s.path(&b.NkeySeed, "/etc/concord/nats.nk")},
		{"bus_ca", s.path(&b.CA, "/etc/concord/nats-ca.pem")},
		{"bus_certificate", s.path(&b.Certificate, "/etc/concord/nats.pem")},
		{"bus_key", s.path(&b.Key, "/etc/concord/nats-key.pem")},
		{"bus_replicas", s.busReplicas},
		{"bus_sync_interval", s.busSyncInterval},
	}
}

func (s *siteReader) busReplicas(e *entry) {
	switch n := e.value.text; {
	case e.value.kind == kindInteger && (n == "1" || n == "3" || n == "5"):
		s.site.Bus.Replicas = int(n[0] - '0')
	case e.value.kind == kindInteger:
		s.fail(e.value.at, "write bus_replicas = 3", `"bus_replicas" must be 1, 3 or 5`)
	default:
		s.wrongKind(e, "a number", "3")
	}
}

func (s *siteReader) busSyncInterval(e *entry) {
	if e.value.kind == kindString && e.value.text == "always" {
		s.site.Bus.SyncAlways = true
		return
	}
	d := 2 * time.Minute
	s.duration(e, time.Millisecond, time.Hour, &d)
	s.site.Bus.SyncInterval = d
}

// checkBusFields refuses keys of an external bus where the agent runs its own, and
// those that contradict each other.
func (s *siteReader) checkBusFields() {
	find := s.own.value.find
	if s.site.Bus.Embedded() {
		for _, f := range s.busFields() {
			if e := find(f.name); e != nil {
				s.fail(e.key, `remove the line, or write bus = "nats://…"`, "%q means nothing where the agent runs the bus itself", f.name)
			}
		}
		return
	}
	if a, b := find("bus_credentials"), find("bus_nkey"); a != nil && b != nil {
		s.fail(b.key, "remove one of the two", `"bus_credentials" and "bus_nkey" are two ways to log in`)
	}
	for _, pair := range [][2]string{{"bus_certificate", "bus_key"}, {"bus_key", "bus_certificate"}} {
		if e := find(pair[0]); e != nil && find(pair[1]) == nil {
			s.missing(e.key, "add "+pair[1], "%q needs %q too", pair[0], pair[1])
		}
	}
}

// checkReach warns when some sites listen on loopback only and others do not: they
// are not all on one machine.
func (r *reader) checkReach() {
	var far string
	for _, s := range r.cfg.Sites {
		if s.Bus.Embedded() && !loopback(s.Bus.Address()) {
			far = string(s.Name)
		}
	}
	if far == "" {
		return
	}
	sites := r.doc.root.find("site").value
	for _, s := range r.cfg.Sites {
		if s.Bus.Embedded() && loopback(s.Bus.Address()) {
			at := sites.find(string(s.Name)).value.find("bus").value.at
			r.warn(at, "write the address of this site's machine", "site %s cannot connect to this bus: it is a loopback address", far)
		}
	}
}
