package mysql

import (
	"strconv"
	"strings"
)

// list builds the text between the parentheses of IN.
type list struct {
	strings.Builder
	n int
}

func (l *list) add(sql string) {
	if l.n > 0 {
		l.WriteString(", ")
	}
	l.n++
	l.WriteString(sql)
}

func (l *list) number(n int64) { l.add(strconv.FormatInt(n, 10)) }
