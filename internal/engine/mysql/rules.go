package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

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
	return db.admin(ctx, "remembering the rules of "+string(of), func(c *conn) error {
		known, err := readAllRules(ctx, c)
		if err != nil {
			return err
		}
		// JSON has no one text, so the rules are compared, not what is stored.
		if had, ok := known[of]; ok && slices.EqualFunc(had.Rules, rules, sameRule) {
			return nil
		}
		_, err = c.exec(ctx, `INSERT INTO concord.rules (site, rules, since) VALUES (?, ?, UTC_TIMESTAMP(6))
			ON DUPLICATE KEY UPDATE rules = VALUES(rules), since = VALUES(since)`, string(of), string(text))
		return err
	})
}

func sameRule(a, b change.Rule) bool {
	return a.Hash == b.Hash && a.Text == b.Text && slices.Equal(a.Match, b.Match)
}

// Rules returns what is remembered, by site.
func (db *DB) Rules(ctx context.Context) (all map[change.Site]site.Rules, err error) {
	err = db.admin(ctx, "reading the rules of the sites", func(c *conn) error {
		all, err = readAllRules(ctx, c)
		return err
	})
	return all, err
}

func readAllRules(ctx context.Context, c *conn) (map[change.Site]site.Rules, error) {
	r, err := c.query(ctx, "SELECT site, rules, since FROM concord.rules")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all := map[change.Site]site.Rules{}
	err = each(r, func(f *fields) error {
		of, text, since := f.text(), f.text(), f.at()
		rules, err := readRules(text)
		if err != nil {
			return fmt.Errorf("the rules of site %s: %w", of, err)
		}
		all[change.Site(of)] = site.Rules{Rules: rules, Since: since}
		return nil
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
