package mysql

import (
	"slices"
	"strings"
)

// splitNames takes a list of databases apart.
func splitNames(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// hides reports whether binlog-do-db (only) or binlog-ignore-db (never) keep a
// database's rows out of the log.
func hides(only, never []string, schema string) bool {
	if len(only) > 0 {
		return !slices.Contains(only, schema)
	}
	return slices.Contains(never, schema)
}
