package mysql

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/concord-db/concord/internal/change"
)

// A statement of a script ends with its line; comments are no part of it.
func TestAScriptIsItsStatements(t *testing.T) {
	got := statements("-- about\nCREATE TABLE a ( -- of a\n    x int, -- one; two\n    y int\n);\n\nINSERT INTO a VALUES (1, 2);\n")
	if len(got) != 2 || got[0] != "CREATE TABLE a (\nx int,\ny int\n)" || got[1] != "INSERT INTO a VALUES (1, 2)" {
		t.Errorf("%q", got)
	}
}

// An older control schema is brought up to date, also when an init was cut short between
// two statements of a script that this server cannot undo.
func TestAnOlderControlSchemaIsBroughtUpToDate(t *testing.T) {
	onEach(t, func(a *admins) {
		a.prepared(Options{})
		scripts := fstest.MapFS{"control_2.sql": {Data: []byte("CREATE TABLE IF NOT EXISTS concord.later (\n    id int PRIMARY KEY\n);\nALTER TABLE concord.later COMMENT 'second';\n")}}
		a.app.run(statements(string(scripts["control_2.sql"].Data))[0])
		row := func() *siteRow {
			s, err := readSite(a.ctx, a.app.c)
			if err != nil || s == nil {
				a.t.Fatalf("%+v, %v", s, err)
			}
			return s
		}
		before := row()
		done, err := ensureSchema(a.ctx, a.app.c, before, 2, scripts)
		if err != nil || !strings.Contains(done, "from version 1 to 2") {
			a.t.Fatalf("%q, %v", done, err)
		}
		if now := row(); now.version != 2 || now.start != before.start {
			a.t.Errorf("%+v, before %+v", now, before)
		}
		if done, err := ensureSchema(a.ctx, a.app.c, row(), 2, scripts); done != "" || err != nil {
			a.t.Errorf("again: %q, %v", done, err)
		}
		if got := a.app.text("SELECT table_comment FROM information_schema.tables WHERE table_schema = 'concord' AND table_name = 'later'"); got != "second" {
			a.t.Errorf("the second statement: %q", got)
		}
	})
}

func TestAnOlderControlSchemaIsRefusedUntilInit(t *testing.T) {
	err := checkSchema(&siteRow{site: "mumbai", version: schemaVersion - 1})
	if !errors.Is(err, change.ErrRefused) || !strings.Contains(err.Error(), "concord init --site mumbai") {
		t.Error(err)
	}
}
