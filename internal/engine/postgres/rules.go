package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/engine/site"
)

// storedRule is a rule as concord.rules holds it. The fingerprint is text: a reader in
// another language may not have integers of 64 bits.
type storedRule struct {
	Match []string `json:"match"`
	Hash  string   `json:"hash"`
	Text  string   `json:"text"`
}

// SaveRules remembers how a site decides about tables. What is remembered already keeps
// its moment.
func (db *DB) SaveRules(ctx context.Context, of change.Site, rules change.Rules) error {
	stored := make([]storedRule, len(rules))
	for i, r := range rules {
		stored[i] = storedRule{r.Match, strconv.FormatUint(r.Hash, 16), r.Text}
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("remembering the rules of %s: %w", of, err)
	}
	return db.ask(ctx, "remembering the rules of "+string(of), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `INSERT INTO concord.rules AS r (site, rules, since) VALUES ($1, $2::text::jsonb, now())
			ON CONFLICT (site) DO UPDATE SET rules = excluded.rules, since = excluded.since WHERE r.rules <> excluded.rules`, string(of), string(text))
		return rulesError(err)
	})
}

// Rules returns what is remembered, by site.
func (db *DB) Rules(ctx context.Context) (map[change.Site]site.Rules, error) {
	all := map[change.Site]site.Rules{}
	err := db.ask(ctx, "reading the rules of the sites", func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT site, rules::text, since FROM concord.rules`)
		if err != nil {
			return rulesError(err)
		}
		var of, text string
		var since time.Time
		_, err = pgx.ForEachRow(rows, []any{&of, &text, &since}, func() error {
			rules, err := readRules(text)
			if err != nil {
				return fmt.Errorf("the rules of site %s: %w", of, err)
			}
			all[change.Site(of)] = site.Rules{Rules: rules, Since: since.UTC()}
			return nil
		})
		return rulesError(err)
	})
	return all, err
}

func readRules(text string) (change.Rules, error) {
	var stored []storedRule
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}
	rules := make(change.Rules, len(stored))
	for i, r := range stored {
		hash, err := strconv.ParseUint(r.Hash, 16, 64)
		if err != nil {
			return nil, err
		}
		rules[i] = change.Rule{Match: r.Match, Hash: hash, Text: r.Text}
	}
	return rules, nil
}

// rulesError says what to do where the table is not there: the database was prepared by
// a version before.
func rulesError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42P01" {
		return fmt.Errorf("%w: %w; run concord init again", change.ErrRefused, err)
	}
	return err
}
