package apply

// Reasons for parking a change, as stored in concord.parked and shown to people.
const (
	ReasonSchema   = "schema"   // the table or a column is missing here
	ReasonRejected = "rejected" // the database refused it: constraint, type
	ReasonUnique   = "unique"   // another row holds a unique value (secondary key)
	ReasonPartial  = "partial"  // it would have to win, but a value was not logged
	ReasonPolicy   = "policy"   // the policy says park, or failed
	ReasonRules    = "rules"    // the sites would decide it differently
)
