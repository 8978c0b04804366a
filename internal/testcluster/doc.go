// Package testcluster starts private PostgreSQL servers for tests, the demo and
// the benchmarks: on a free loopback port, in a directory of their own, as an
// unprivileged user when the caller is root, and gone when the caller is gone.
//
// Tests that share a server take a database of their own from it:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(testcluster.Main(m)) }
//
//	func TestThing(t *testing.T) {
//		c := testcluster.ForTest(t, testcluster.Options{Version: 18})
//		conn, err := pgx.Connect(ctx, c.DSN(""))
//
// Tests that kill, pause, restart or reconfigure the server, or set its clock, take
// a server of their own with Own.
//
// A server program that is not installed fails the test with the remedy; nothing
// is skipped in silence. scripts/install-servers.sh installs what is missing.
//
// Proxy cuts, stalls and delays a loopback TCP connection, to play a failing
// network between a client and any server.
package testcluster
