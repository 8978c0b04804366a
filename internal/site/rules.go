package site

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	enginesite "github.com/concord-db/concord/internal/engine/site"
)

// ruleKeeper remembers rules across restarts: a site's database.
type ruleKeeper interface {
	SaveRules(ctx context.Context, of change.Site, rules change.Rules) error
	Rules(ctx context.Context) (map[change.Site]enginesite.Rules, error)
}

// peerRules is what is known of how the other sites decide about tables. A site whose
// rules were never told is taken to decide as this one does.
type peerRules struct {
	keeper ruleKeeper
	self   change.Site
	own    change.Rules
	book   *config.RuleBook
	peers  []change.Site

	mu       sync.Mutex
	told     map[change.Site]change.Rules
	books    map[change.Site]*config.RuleBook
	disputes map[string]error // by table: what was asked since rules changed last
}

func newPeerRules(keeper ruleKeeper, cfg *config.Config, self change.Site) *peerRules {
	own := cfg.RuleSet()
	return &peerRules{
		keeper: keeper, self: self, own: own, book: config.NewRuleBook(own), peers: cfg.Peers(self),
		told: map[change.Site]change.Rules{}, books: map[change.Site]*config.RuleBook{}, disputes: map[string]error{},
	}
}

// begin remembers this site's rules and takes up what was known of the others.
func (p *peerRules) begin(ctx context.Context) error {
	if err := p.keeper.SaveRules(ctx, p.self, p.own); err != nil {
		return err
	}
	known, err := p.keeper.Rules(ctx)
	if err != nil {
		return err
	}
	for _, peer := range p.peers {
		if r, ok := known[peer]; ok {
			p.set(peer, r.Rules)
		}
	}
	return nil
}

// note takes up what a peer has told; it is remembered before it is believed.
func (p *peerRules) note(ctx context.Context, from change.Site, rules change.Rules) error {
	p.mu.Lock()
	same := reflect.DeepEqual(p.told[from], rules)
	p.mu.Unlock()
	if same {
		return nil
	}
	if err := p.keeper.SaveRules(ctx, from, rules); err != nil {
		return err
	}
	p.set(from, rules)
	return nil
}

func (p *peerRules) set(of change.Site, rules change.Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[of], p.books[of] = rules, config.NewRuleBook(rules)
	for name := range p.disputes {
		p.disputes[name] = p.compare(name)
	}
}

// dispute says why the sites would not decide a conflict on a table alike; nil when they
// would. It is an apply.ErrRulesDiffer.
func (p *peerRules) dispute(t *change.Table) error {
	name := t.QualifiedName()
	p.mu.Lock()
	defer p.mu.Unlock()
	err, ok := p.disputes[name]
	if !ok {
		err = p.compare(name)
		p.disputes[name] = err
	}
	return err
}

// compare holds p.mu.
func (p *peerRules) compare(name string) error {
	here := p.book.Of(name)
	for _, peer := range p.peers {
		if b := p.books[peer]; b != nil {
			if there := b.Of(name); there.Hash != here.Hash {
				return fmt.Errorf("%w: %s decides conflicts on %s by %s, %s by %s; bring all sites to the same configuration and scripts and restart their agents, then settle this at each site: concord parked apply, or discard",
					apply.ErrRulesDiffer, p.self, name, here.Text, peer, there.Text)
			}
		}
	}
	return nil
}

// differences lists what a peer decides differently.
func (p *peerRules) differences(peer change.Site) []config.RuleDifference {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.books[peer]
	if b == nil {
		return nil
	}
	return p.book.Differences(b, slices.Sorted(maps.Keys(p.disputes))...)
}
