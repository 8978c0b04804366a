package testcluster

import "context"

// Products are the servers every test of the MySQL engine runs on. One that is not
// installed fails the test.
func Products(t T) []Product {
	t.Helper()
	id, err := serverIdentity()
	if err != nil {
		t.Fatalf("%v", err)
	}
	all := []Product{MariaDB, MySQL}
	for _, p := range all {
		if _, err := findMySQL(p, id); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return all
}

// OwnMySQL returns a server for this test alone, stopped and removed when the test ends. A
// server is one site: its log, its users and the database concord belong to all of it.
func OwnMySQL(t T, options MySQLOptions) *MySQLServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := StartMySQL(ctx, options)
	if err != nil {
		t.Fatalf("starting a database server for the test: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of the %s in %s ends:\n%s", s.Product(), s.Dir(), s.LogTail(40))
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the test's database server: %v", err)
		}
	})
	return s
}
