package mysql

import (
	"regexp"
	"strings"
)

// statementKind is what a statement that stands in the log as text means to capture.
type statementKind uint8

const (
	// statementSchema: it may have changed a table. All that is not known to be something
	// else is taken for this, so that no change of a table is passed over.
	statementSchema statementKind = iota
	statementBegin
	statementCommit
	statementRollback
	statementSavepoint
	statementRollbackTo
	statementNothing // changes neither rows nor tables
	statementTruncate
	statementWrite // changes rows that the log does not have
)

// statement is one that was told apart.
type statement struct {
	kind statementKind
	name string // of the savepoint; of the table that was emptied, as written
}

// classify tells what a statement is from its first words.
func classify(sql string) statement {
	sql = withoutComments(sql)
	word, rest := firstWord(sql)
	next, after := firstWord(rest)
	if sql == "" { // a comment
		return statement{kind: statementNothing}
	}
	switch word {
	case "BEGIN":
		return statement{kind: statementBegin}
	case "START":
		if next == "TRANSACTION" {
			return statement{kind: statementBegin}
		}
	case "COMMIT":
		return statement{kind: statementCommit}
	case "ROLLBACK":
		if next == "TO" {
			name := after
			if w, r := firstWord(after); w == "SAVEPOINT" {
				name = r
			}
			return statement{kind: statementRollbackTo, name: savepointName(name)}
		}
		return statement{kind: statementRollback}
	case "SAVEPOINT":
		return statement{kind: statementSavepoint, name: savepointName(rest)}
	case "RELEASE":
		return statement{kind: statementNothing}
	case "XA":
		switch next {
		case "START", "BEGIN":
			return statement{kind: statementBegin}
		case "COMMIT", "ROLLBACK": // of one that was prepared, a transaction of its own without rows
			return statement{kind: statementCommit}
		}
		return statement{kind: statementNothing}
	case "TRUNCATE":
		if next == "TABLE" {
			rest = after
		}
		return statement{kind: statementTruncate, name: strings.TrimSpace(rest)}
	case "GRANT", "REVOKE", "SET", "FLUSH", "ANALYZE":
		return statement{kind: statementNothing}
	case "CREATE", "DROP":
		if next == "TEMPORARY" {
			return statement{kind: statementNothing}
		}
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT":
		return statement{kind: statementWrite}
	}
	return statement{kind: statementSchema}
}

// withoutComments drops the comments that stand before a statement. Those that the
// server executes are not comments: what stands in them begins the statement.
func withoutComments(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f\v;(")
		end := ""
		switch {
		case strings.HasPrefix(sql, "/*!"), strings.HasPrefix(sql, "/*M!"):
			return strings.TrimLeft(sql[strings.IndexByte(sql, '!')+1:], "0123456789 \t\r\n")
		case strings.HasPrefix(sql, "/*"):
			end = "*/"
		case strings.HasPrefix(sql, "#"), strings.HasPrefix(sql, "-- "), strings.HasPrefix(sql, "--\n"), strings.HasPrefix(sql, "--\t"):
			end = "\n"
		default:
			return sql
		}
		_, rest, found := strings.Cut(sql[min(2, len(sql)):], end)
		if !found {
			return ""
		}
		sql = rest
	}
}

// firstWord takes a word, in upper case, and what follows it.
func firstWord(sql string) (word, rest string) {
	sql = withoutComments(sql)
	i := 0
	for i < len(sql) && (sql[i] == '_' || sql[i] >= 'a' && sql[i] <= 'z' || sql[i] >= 'A' && sql[i] <= 'Z') {
		i++
	}
	return strings.ToUpper(sql[:i]), sql[i:]
}

func savepointName(s string) string {
	name, _ := identifier(strings.TrimSpace(s))
	return strings.ToLower(name)
}

// identifier takes a name, quoted or not, and what follows it.
func identifier(s string) (name, rest string) {
	if s == "" {
		return "", ""
	}
	if q := s[0]; q == '`' || q == '"' {
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			if s[i] == q {
				if i+1 < len(s) && s[i+1] == q {
					i++
				} else {
					return b.String(), s[i+1:]
				}
			}
			b.WriteByte(s[i])
		}
		return b.String(), ""
	}
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] == '$' || s[i] >= 0x80 || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z') {
		i++
	}
	return s[:i], s[i:]
}

// tableName reads a table's name with or without its database.
func tableName(s, schema string) (string, string) {
	name, rest := identifier(withoutComments(s))
	rest = strings.TrimLeft(rest, " \t\r\n")
	if strings.HasPrefix(rest, ".") {
		schema = name
		name, _ = identifier(strings.TrimLeft(rest[1:], " \t\r\n"))
	}
	return schema, name
}

// unlogged finds statements that take rows out of a table or put some in without
// logging them: what partitions and tablespaces can do.
var unlogged = regexp.MustCompile(`(?is)\bALTER\s+TABLE\b.*\b((DROP|TRUNCATE|EXCHANGE)\s+PARTITION|(DISCARD|IMPORT)\s+(PARTITION\b.*)?TABLESPACE)\b`)

// deleteAll is how MariaDB empties a table in memory after it was restarted.
var deleteAll = regexp.MustCompile("^(?i:DELETE FROM) (`(?:[^`]|``)+`)\\.(`(?:[^`]|``)+`)$")

// emptiedByServer reads the table of such a statement.
func emptiedByServer(sql string) (schema, name string, ok bool) {
	m := deleteAll.FindStringSubmatch(strings.TrimSpace(sql))
	if m == nil {
		return "", "", false
	}
	schema, _ = identifier(m[1])
	name, _ = identifier(m[2])
	return schema, name, true
}
