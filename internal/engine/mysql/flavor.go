package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/change"
)

// flavor tells the two servers apart where they differ.
type flavor string

const (
	mySQL   flavor = "mysql"
	mariaDB flavor = "mariadb"
)

// flavorOf knows a server by its version text: "10.11.19-MariaDB-deb12-log" (some
// proxies put "5.5.5-" before it), "9.7.4".
func flavorOf(version string) flavor {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return mariaDB
	}
	return mySQL
}

// release is a version as one number: 10.11.19 is 101119.
func release(version string) int {
	version = strings.TrimPrefix(version, "5.5.5-")
	n := 0
	for i, part := range strings.SplitN(version, ".", 3) {
		end := 0
		for end < len(part) && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		v, err := strconv.Atoi(part[:end])
		if err != nil {
			v = 0
		}
		n += v * []int{10000, 100, 1}[i]
	}
	return n
}

// The oldest servers that Concord speaks to.
const (
	minimumMySQL   = 80400
	minimumMariaDB = 101100
)

// checkVersion refuses a server that is too old.
func checkVersion(version string) error {
	f, r := flavorOf(version), release(version)
	if f == mariaDB && r < minimumMariaDB {
		return fmt.Errorf("%w: the server is MariaDB %s; MariaDB 10.11 or later is needed", change.ErrRefused, version)
	}
	if f == mySQL && r < minimumMySQL {
		return fmt.Errorf("%w: the server is MySQL %s; MySQL 8.4 or later is needed", change.ErrRefused, version)
	}
	return nil
}

// name is what people call it.
func (f flavor) name() string {
	if f == mariaDB {
		return "MariaDB"
	}
	return "MySQL"
}
