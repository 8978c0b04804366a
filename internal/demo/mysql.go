package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/concord-db/concord/internal/testcluster"
)

//go:embed shop_mysql.sql
var mysqlSQL string

// byteCollations compare texts byte by byte, spaces at their end too, as PostgreSQL does.
var byteCollations = map[testcluster.Product]string{testcluster.MariaDB: "utf8mb4_nopad_bin", testcluster.MySQL: "utf8mb4_0900_bin"}

// startMySQL starts the MariaDB or MySQL server of the site at index and makes the shop
// anew. The server's files are used again when they are there; what an earlier demo left
// in it goes. dsn is the shop's.
func startMySQL(ctx context.Context, dir string, index int, product testcluster.Product) (_ server, dsn string, err error) {
	name := names[index]
	s, err := testcluster.StartMySQL(ctx, testcluster.MySQLOptions{
		Product: product, Dir: serverDir(dir, name, string(product)),
		// Numbers of the two sites never meet.
		Settings: map[string]string{"auto-increment-increment": strconv.Itoa(len(names)), "auto-increment-offset": strconv.Itoa(index + 1)},
	})
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = s.Close() // the error that matters is the first
		}
	}()
	root, err := openMySQL(ctx, s.DSN(""))
	if err != nil {
		return nil, "", err
	}
	defer root.close(ctx)
	sql := fmt.Sprintf("DROP DATABASE IF EXISTS concord;\nDROP DATABASE IF EXISTS %[1]s;\nCREATE DATABASE %[1]s;\nUSE %[1]s;\n", database) +
		strings.ReplaceAll(mysqlSQL, "{{bytes}}", byteCollations[product])
	for statement := range strings.SplitSeq(sql, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := root.exec(ctx, statement); err != nil {
			return nil, "", fmt.Errorf("making the shop at %s: %w", name, err)
		}
	}
	return s, s.DSN(database), nil
}
