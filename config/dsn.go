package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// DSN says where a site's database is. It shows no password; the connection string
// with the password in it is Site.ConnString.
type DSN struct {
	hidden          // the secret is the password, decoded
	scheme   string // as written
	user     string // decoded; "" when the dsn names none
	hosts    string // host[:port], comma separated; "" when a parameter names it
	database string // decoded
	query    hidden // parameters as written, without the password
}

// Engine names the kind of database: "postgres", "mysql" or "mariadb".
func (d DSN) Engine() string { return d.kind().engine }

// Database returns the name of the database. Of MySQL and MariaDB it is the one that is
// meant where none is named, and may be "".
func (d DSN) Database() string { return d.database }

// User returns the name of the role, or "" when the dsn leaves it to the
// environment.
func (d DSN) User() string { return d.user }

// HasPassword reports whether the dsn itself has a password in it.
func (d DSN) HasPassword() bool { return d.secret != nil }

// with returns the connection string with this password in it, with none when it
// is empty, and with these parameters.
func (d DSN) with(password, params string) string {
	var b strings.Builder
	b.WriteString(d.scheme + "://")
	switch {
	case d.user != "" && password != "":
		b.WriteString(url.UserPassword(d.user, password).String() + "@")
	case d.user != "":
		b.WriteString(url.User(d.user).String() + "@")
	case password != "":
		params = strings.TrimPrefix(params+"&password="+url.QueryEscape(password), "&")
	}
	b.WriteString(d.hosts + "/" + strings.ReplaceAll(url.PathEscape(d.database), "@", "%40"))
	if params != "" {
		b.WriteString("?" + params)
	}
	return b.String()
}

// dsnKind is what connection URLs of one kind of database have of their own.
type dsnKind struct {
	engine  string
	schemes []string
	form    string
	port    string
	// plain are the parameters whose values are no secrets; strict: there are no others.
	plain  []string
	strict bool
}

var dsnKinds = []dsnKind{
	{
		engine: "postgres", schemes: []string{"postgres", "postgresql"}, form: "write postgres://USER@HOST/DATABASE", port: "5432",
		plain: []string{"application_name", "connect_timeout", "host", "hostaddr", "port", "user", "sslmode",
			"sslcert", "sslkey", "sslrootcert", "target_session_attrs"},
	},
	{engine: "mysql", schemes: []string{"mysql"}, form: "write mysql://USER@HOST/DATABASE", port: "3306", plain: mysqlParameters, strict: true},
	{engine: "mariadb", schemes: []string{"mariadb"}, form: "write mariadb://USER@HOST/DATABASE", port: "3306", plain: mysqlParameters, strict: true},
}

var mysqlParameters = []string{"socket", "tls", "tls-ca", "tls-cert", "tls-key"}

// mysqlTLS are what tls= may say.
var mysqlTLS = []string{"disabled", "required", "verify-ca", "verify-identity"}

// kind is that of the scheme; of none, PostgreSQL's.
func (d DSN) kind() *dsnKind {
	for i := range dsnKinds {
		if slices.Contains(dsnKinds[i].schemes, d.scheme) {
			return &dsnKinds[i]
		}
	}
	return &dsnKinds[0]
}

// schemes are those of all kinds.
func schemes() []string {
	var all []string
	for i := range dsnKinds {
		all = append(all, dsnKinds[i].schemes...)
	}
	return all
}

// hideParameters keeps the parameters, to be shown without the values that are not
// known to be harmless: a misspelled parameter may be the password.
func (k *dsnKind) hideParameters(pairs []string) hidden {
	whole := strings.Join(pairs, "&")
	shown := make([]string, len(pairs))
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.Contains(k.plain, name) {
			pair = name + "=" + mask
		}
		shown[i] = pair
	}
	return hidden{shown: strings.Join(shown, "&"), secret: &whole}
}

// place identifies the database, to find two sites with the same one. "" when the
// text alone cannot tell. Of MySQL and MariaDB it is the server: a site is all of it.
func (d DSN) place() string {
	server := d.kind().engine != "postgres"
	if server {
		for pair := range strings.SplitSeq(*orEmpty(d.query.secret), "&") {
			if socket, ok := strings.CutPrefix(pair, "socket="); ok {
				return "socket " + socket
			}
		}
	}
	var hosts []string
	for host := range strings.SplitSeq(d.hosts, ",") {
		if host == "" {
			return ""
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host += ":" + d.kind().port
		}
		hosts = append(hosts, strings.ToLower(host))
	}
	slices.Sort(hosts)
	if server {
		return strings.Join(hosts, ",")
	}
	return strings.Join(hosts, ",") + "/" + d.database
}

func orEmpty(s *string) *string {
	if s == nil {
		return new(string)
	}
	return s
}

// fault is what is wrong with a value, and the remedy. Both may be shown: they
// repeat nothing of a value that may be secret.
type fault struct{ message, remedy string }

// sslModes are libpq's.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

// parseDSN reads a connection URL. It does not use url.Parse, which knows no list
// of hosts and repeats passwords in its errors.
func parseDSN(s string) (DSN, *fault) {
	scheme, rest, ok := strings.Cut(s, "://")
	const forms = "write postgres://USER@HOST/DATABASE, or mysql:// or mariadb:// for these"
	switch {
	case !ok:
		return DSN{}, &fault{"dsn is not a URL", forms}
	case !slices.Contains(schemes(), scheme):
		return DSN{}, &fault{"dsn names no known database: its scheme is not postgres, mysql or mariadb" + didYouMean(scheme, schemes()), forms}
	case strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return DSN{}, &fault{"dsn has a space or control character in it", "write a space as %20"}
	}
	d := DSN{scheme: scheme}
	k := d.kind()
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	var f *fault
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if f = d.setUser(authority[:i]); f != nil {
			return DSN{}, f
		}
		authority = authority[i+1:]
	}
	if f = d.setDatabase(path); f != nil {
		return DSN{}, f
	}
	hosted, f := d.setParameters(query)
	if f != nil {
		return DSN{}, f
	}
	if f = d.setHosts(authority, hosted); f != nil {
		return DSN{}, f
	}
	if k.engine != "postgres" && d.user == "" {
		return DSN{}, &fault{"dsn names no user", k.form}
	}
	if d.shown = d.with("", d.query.shown); d.HasPassword() {
		d.shown = d.with(mask, d.query.shown)
	}
	return d, nil
}

func (d *DSN) setUser(info string) *fault {
	user, password, has := strings.Cut(info, ":")
	var err error
	if d.user, err = url.PathUnescape(user); err != nil {
		return &fault{"the user in dsn is not encoded as in a URL", "write % as %25"}
	}
	if password, err = url.PathUnescape(password); err != nil {
		return &fault{"the password in dsn is not encoded as in a URL", "write % as %25, or use password_file"}
	}
	if has && password != "" {
		d.secret = &password
	}
	return nil
}

func (d *DSN) setDatabase(path string) *fault {
	var err error
	if d.database, err = url.PathUnescape(path); err != nil {
		return &fault{"the database in dsn is not encoded as in a URL", "write % as %25"}
	}
	switch {
	case path == "" && d.kind().engine == "postgres":
		return &fault{"dsn names no database", d.kind().form}
	case strings.ContainsAny(path, "@/"):
		return &fault{"dsn cannot be read: there is an @ or a / after the host",
			"in a user, password or database write @ as %40, / as %2F and : as %3A, or use password_file"}
	}
	return nil
}

// setParameters reads what stands behind the question mark. hosted tells that a
// parameter names the host.
func (d *DSN) setParameters(query string) (hosted bool, f *fault) {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		val, err2 := url.QueryUnescape(v)
		if !ok || err != nil || err2 != nil {
			return false, &fault{"the parameters of dsn are not key=value&key=value", `for example ?sslmode=verify-full`}
		}
		if k := d.kind(); k.strict {
			if f := k.refuses(key, val); f != nil {
				return false, f
			}
			hosted = hosted || key == "socket" && val != ""
			kept = append(kept, pair)
			continue
		}
		switch key {
		case "password":
			if d.HasPassword() {
				return false, &fault{"dsn has two passwords", "remove both and use password_file"}
			}
			d.secret = &val
			continue
		case "user":
			if d.user == "" {
				d.user = val
				continue
			}
		case "sslpassword":
			return false, &fault{"dsn has the password of a key in it, which is not supported", "use a key without one, readable by the agent only"}
		case "sslmode":
			if !slices.Contains(sslModes, val) {
				return false, &fault{fmt.Sprintf("sslmode %.20q in dsn is none of PostgreSQL's%s", val, didYouMean(val, sslModes)),
					"one of " + strings.Join(sslModes, ", ")}
			}
		case "host", "hostaddr":
			hosted = hosted || val != ""
		}
		kept = append(kept, pair)
	}
	d.query = d.kind().hideParameters(kept)
	return hosted, nil
}

// refuses says what is wrong with a parameter where only known ones are allowed.
func (k *dsnKind) refuses(key, value string) *fault {
	switch {
	case key == "password":
		return &fault{"dsn has a password among its parameters", "write it before the host, as USER:PASSWORD@HOST, or use password_file"}
	case !slices.Contains(k.plain, key):
		return &fault{fmt.Sprintf("dsn has a parameter %.20q, which is not known%s", key, didYouMean(key, k.plain)), "those are known: " + strings.Join(k.plain, ", ")}
	case key == "tls" && !slices.Contains(mysqlTLS, value):
		return &fault{fmt.Sprintf("tls %.20q in dsn is not known%s", value, didYouMean(value, mysqlTLS)), "one of " + strings.Join(mysqlTLS, ", ")}
	}
	return nil
}

func (d *DSN) setHosts(authority string, hosted bool) *fault {
	d.hosts = authority
	if authority == "" {
		if hosted {
			return nil
		}
		return &fault{"dsn names no host", d.kind().form}
	}
	if d.kind().strict && strings.Contains(authority, ",") {
		return &fault{"dsn names several hosts", "name one: a proxy or an address that follows the server"}
	}
	for h := range strings.SplitSeq(authority, ",") {
		host, port := h, d.kind().port
		if i := strings.LastIndexByte(h, ':'); i > strings.LastIndexByte(h, ']') {
			host, port = h[:i], h[i+1:]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return &fault{"the port in dsn is not a number from 1 to 65535",
				"in a user or password write @ as %40, / as %2F, : as %3A, # as %23 and ? as %3F, or use password_file"}
		}
		if bare, ok := strings.CutPrefix(host, "["); ok {
			bare, closed := strings.CutSuffix(bare, "]")
			if !closed || net.ParseIP(bare) == nil {
				return &fault{"the host in dsn is not an address", "write an IPv6 address as [::1]"}
			}
			continue
		}
		if host == "" || strings.ContainsAny(host, `:[]<>"\^{}|`+"`") {
			return &fault{"the host in dsn is not a name or an address", "write an IPv6 address as [::1]; " + d.kind().form}
		}
	}
	return nil
}
