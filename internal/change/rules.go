package change

// Rules are how a site decides about tables. Each site tells the others its own, so that
// they know of which tables conflicts would be decided alike. They are shared and never
// changed.
type Rules []Rule

// Rule is about the tables that one of its patterns matches, unless a rule before it
// does. A table that none matches is not replicated.
type Rule struct {
	// Match are the patterns on schema.table, as the configuration has them.
	Match []string
	// Hash is the fingerprint of what is done with these tables: equal where sites decide
	// alike, whatever the patterns are. 0: they are not replicated.
	Hash uint64
	// Text says the same for people.
	Text string
}
