package mysql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/concord-db/concord/internal/testcluster"
)

// The servers that the tests of this package share: a MariaDB and a MySQL, each started
// when a test first asks for it. They end with the process.

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range servers {
		if s.MySQLServer != nil {
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "stopping a server:", err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// eachServer runs a test on each, with the dsn of an administrator. A server that is not
// installed fails it.
func eachServer(t *testing.T, f func(t *testing.T, dsn string)) {
	for _, s := range servers {
		t.Run(string(s.product), func(t *testing.T) {
			if s.start.Do(func() { s.err = s.launch() }); s.err != nil {
				t.Fatal(s.err)
			}
			f(t, strings.Replace(s.DSN(""), "root@", "admin:adm@", 1))
		})
	}
}

var servers = []*server{{product: testcluster.MariaDB}, {product: testcluster.MySQL}}

type server struct {
	*testcluster.MySQLServer
	product testcluster.Product
	start   sync.Once
	err     error
}

// launch starts the server and lets the administrator in.
func (s *server) launch() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	s.MySQLServer, err = testcluster.StartMySQL(ctx, testcluster.MySQLOptions{Product: s.product, Settings: map[string]string{"max-allowed-packet": "64M"}})
	if err != nil {
		return err
	}
	root, err := client.Connect(s.Addr(), "root", "", "")
	if err != nil {
		return err
	}
	_, err = root.Execute("CREATE USER admin@'%' IDENTIFIED BY 'adm'")
	if err == nil {
		_, err = root.Execute("GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
	}
	return errors.Join(err, root.Close())
}
