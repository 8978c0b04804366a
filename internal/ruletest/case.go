package ruletest

import (
	"fmt"
	"strings"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/conflict/resolver"
	"github.com/concord-db/concord/internal/change"
)

// WrongCase is a case that is not as the script says.
type WrongCase struct {
	Name  string `json:"name"`
	Older string `json:"older"`
	Newer string `json:"newer"`
	Base  string `json:"base"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

// CheckCases asks the rule for each of its cases and returns those that are wrong.
func (r *Rule) CheckCases() []WrongCase {
	var wrong []WrongCase
	for i := range r.Cases {
		c := &r.Cases[i]
		got, err := r.ask(c)
		if r.right(c, got, err) {
			continue
		}
		w := WrongCase{Name: c.Name, Older: r.side(c.Older), Newer: r.side(c.Newer), Base: r.side(c.Base), Want: r.side(c.Want), Got: r.side(got)}
		if c.Fails != "" {
			w.Want = fmt.Sprintf("it fails: …%s…", c.Fails)
		}
		if err != nil {
			w.Got = "it fails: " + err.Error()
		}
		wrong = append(wrong, w)
	}
	return wrong
}

// ask calls the rule.
func (r *Rule) ask(c *resolver.Case) ([]change.Value, error) {
	if r.Column < 0 {
		return r.given().Row(r.Table, c.Older, c.Newer, c.Base)
	}
	var base change.Value
	if c.Base != nil {
		base = c.Base[r.Column]
	}
	v, err := r.given().Column(r.Table, r.Column, c.Older[r.Column], c.Newer[r.Column], base)
	image := make([]change.Value, len(r.Table.Columns))
	image[r.Column] = v
	return image, err
}

func (r *Rule) right(c *resolver.Case, got []change.Value, err error) bool {
	if c.Fails != "" || err != nil {
		return c.Fails != "" && err != nil && strings.Contains(err.Error(), c.Fails)
	}
	if c.Want == nil || got == nil {
		return c.Want == nil && got == nil
	}
	for i, want := range c.Want {
		if want.State != change.Unchanged && !equal(&r.Table.Columns[i], want, got[i]) {
			return false
		}
	}
	return true
}

// equal compares values as their type does: 1.5 is 1.50.
func equal(c *change.Column, a, b change.Value) bool {
	if a == b {
		return true
	}
	if a.State != change.Present || b.State != change.Present {
		return false
	}
	order, err := conflict.Compare(c, a.Text, b.Text)
	return err == nil && order == 0
}

// side writes what a rule is given or gives.
func (r *Rule) side(image []change.Value) string {
	if r.Column < 0 {
		return rowText(r.Table, image)
	}
	if image == nil {
		return "None"
	}
	return text(&r.Table.Columns[r.Column], image[r.Column])
}
