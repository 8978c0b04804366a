package demo

// dialect is where the SQL of the shop's users differs between servers.
type dialect struct {
	order   string // the id of the order that the session has just made
	ignore  string // ends the insert of a customer whose e-mail may be taken: nothing happens then
	refresh string // ends the insert of a session that may be there: it is updated
}

var postgresDialect = dialect{
	order:   "currval(pg_get_serial_sequence('orders', 'id'))",
	ignore:  "ON CONFLICT (email) DO NOTHING",
	refresh: "ON CONFLICT (token) DO UPDATE SET cart = excluded.cart, seen_at = excluded.seen_at",
}

var mysqlDialect = dialect{
	order:   "last_insert_id()",
	ignore:  "ON DUPLICATE KEY UPDATE email = VALUES(email)",
	refresh: "ON DUPLICATE KEY UPDATE cart = VALUES(cart), seen_at = VALUES(seen_at)",
}
