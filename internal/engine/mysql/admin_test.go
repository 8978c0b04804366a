package mysql

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// patience bounds what a test waits for on a machine with much else to do.
const patience = 30 * time.Second

// admins is a server with nothing of Concord on it and an empty database shop, and an
// administrator's session.
type admins struct {
	t   *testing.T
	ctx context.Context
	dsn string
	app *session
}

// onEach runs a test on each kind of server.
func onEach(t *testing.T, f func(*admins)) {
	eachServer(t, func(t *testing.T, dsn string) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		a := &admins{t: t, ctx: ctx, dsn: dsn}
		a.app = a.session(dsn)
		a.app.run("DROP DATABASE IF EXISTS concord", "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
		f(a)
	})
}

// db is the site mumbai of the cluster shop, of which pune is the other.
func (a *admins) db(o Options) *DB {
	o.Site, o.Cluster = "mumbai", "shop"
	if o.Peers == nil {
		o.Peers = []change.Site{"pune"}
	}
	if o.Tables == nil {
		o.Tables = func(name string) bool { return strings.HasPrefix(name, "shop") }
	}
	db := New(a.dsn, o)
	a.t.Cleanup(func() { db.Close(context.WithoutCancel(a.ctx)) })
	return db
}

// prepared is db after init.
func (a *admins) prepared(o Options, statements ...string) *DB {
	a.t.Helper()
	a.app.run(statements...)
	db := a.db(o)
	if _, err := db.Init(a.ctx, InitOptions{}); err != nil {
		a.t.Fatal(err)
	}
	return db
}

// as is the dsn with another user, over TCP.
func (a *admins) as(user, password string) string {
	a.t.Helper()
	u, err := url.Parse(a.dsn)
	if err != nil {
		a.t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// session is what an application or an administrator does.
type session struct {
	t *testing.T
	c *conn
}

func (a *admins) session(dsn string) *session {
	a.t.Helper()
	c, err := New(dsn, Options{Site: "none"}).connect(a.ctx, roleAdmin)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.close)
	return &session{a.t, c}
}

func (s *session) run(statements ...string) {
	s.t.Helper()
	for _, sql := range statements {
		if _, err := s.c.exec(context.WithoutCancel(s.t.Context()), sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// text is the first column of the first row.
func (s *session) text(sql string) (text string) {
	s.t.Helper()
	first := true
	if err := s.c.rows(s.t.Context(), sql, func(row []string) {
		if first {
			text, first = row[0], false
		}
	}); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// eventually polls until done says yes.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(200 * time.Millisecond) // MariaDB looks at its locks anew only when nobody has asked for 0.1 s
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("%s did not come about within %s", what, patience)
		case <-tick.C:
		}
	}
}

// finding returns the first check that is not in order and mentions all of the words.
func finding(checks []Check, words ...string) *Check {
	i := slices.IndexFunc(checks, func(c Check) bool {
		text := c.Name + " " + c.Detail + " " + c.Remedy
		return c.Status != site.OK && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
	if i < 0 {
		return nil
	}
	return &checks[i]
}
