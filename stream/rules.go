package stream

import (
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/stream/streampb"
)

func rulesMessages(rules change.Rules) []*streampb.Rule {
	var out []*streampb.Rule
	for _, r := range rules {
		out = append(out, &streampb.Rule{Match: r.Match, Hash: r.Hash, Text: r.Text})
	}
	return out
}

func parseRules(messages []*streampb.Rule) change.Rules {
	var out change.Rules
	for _, m := range messages {
		out = append(out, change.Rule{Match: m.GetMatch(), Hash: m.GetHash(), Text: m.GetText()})
	}
	return out
}
