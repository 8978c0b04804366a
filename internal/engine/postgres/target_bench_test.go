package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/concord-db/concord/apply"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/testcluster"
)

// benchmarkTarget prepares pgbench's table of accounts and acquires pune.
func benchmarkTarget(b *testing.B, version, rows int) (db *DB, shape *change.Table) {
	ctx := context.Background()
	c := testcluster.ForTest(b, testcluster.Options{Version: version})
	conn, err := pgx.Connect(ctx, c.DSN(""))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeConn(ctx, conn) })
	for _, sql := range []string{controlSQL,
		`CREATE TABLE public.accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 90)`,
		fmt.Sprintf(`INSERT INTO public.accounts SELECT i, i %% 10, 0, '' FROM generate_series(1, %d) i`, rows), `VACUUM ANALYZE public.accounts`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	db = New(c.DSN(""), Options{Site: "mumbai", Cluster: c.Database(), Peers: []change.Site{"pune"}})
	release, err := db.Acquire(ctx, "pune")
	if err != nil {
		b.Fatal(err)
	}
	shape = shapeOf(b, ctx, conn, "public", "accounts")
	b.Cleanup(func() {
		release()
		db.Close(ctx)
		if _, err := conn.Exec(ctx, `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname LIKE $1`, db.slot()+"%"); err != nil {
			b.Error(err)
		}
	})
	return db, shape
}

// BenchmarkWrite applies sets of 1000 rows to a table of a million, committed one by
// one, as the catch-up of a link does; rows/s counts client and server.
func BenchmarkWrite(b *testing.B) {
	const rows, size = 1_000_000, 1000
	for _, version := range []int{15, 18} {
		for _, action := range []apply.Action{apply.Update, apply.Put, apply.Insert, apply.Delete} {
			b.Run(fmt.Sprintf("postgres%d/%s", version, map[apply.Action]string{apply.Insert: "insert", apply.Update: "update", apply.Delete: "delete", apply.Put: "put"}[action]), func(b *testing.B) {
				db, shape := benchmarkTarget(b, version, rows)
				ctx := context.Background()
				filler := strings.Repeat(" ", 84)
				seq := uint64(0)
				next := rows
				b.ReportAllocs()
				for b.Loop() {
					writes := make([]apply.Write, size)
					base := rand.IntN(rows - 3*size)
					for i := range writes {
						id := base + 3*i
						if action == apply.Insert {
							next++
							id = next
						}
						image := img(fmt.Sprint(id), "5", fmt.Sprint(i), filler)
						writes[i] = write(action, shape, image, image)
					}
					tx, err := db.Begin(ctx, apply.Checkpoint{Origin: "pune", Epoch: 1, Seq: seq + 1, Previous: seq})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := tx.Write(ctx, writes); err != nil {
						b.Fatal(err)
					}
					if err := tx.Commit(ctx); err != nil {
						b.Fatal(err)
					}
					seq++
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkTransaction is what one small group costs: a write, and its commit.
func BenchmarkTransaction(b *testing.B) {
	db, shape := benchmarkTarget(b, 18, 1000)
	ctx := context.Background()
	seq := uint64(0)
	for b.Loop() {
		tx, err := db.Begin(ctx, apply.Checkpoint{Origin: "pune", Epoch: 1, Seq: seq + 1, Previous: seq})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tx.Write(ctx, []apply.Write{write(apply.Update, shape, nil, img("1", "1", "1", "x"))}); err != nil {
			b.Fatal(err)
		}
		if err := tx.Commit(ctx); err != nil {
			b.Fatal(err)
		}
		seq++
	}
}

// BenchmarkLogPosition is the engine's part of a fence.
func BenchmarkLogPosition(b *testing.B) {
	for _, version := range []int{15, 18} {
		b.Run(fmt.Sprint("postgres", version), func(b *testing.B) {
			db, _ := benchmarkTarget(b, version, 10)
			for b.Loop() {
				if _, err := db.logPosition(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncode is the client's part of a set alone.
func BenchmarkEncode(b *testing.B) {
	shape := (&change.Table{Schema: "public", Name: "t", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Kind: change.KindInt}, {Name: "n", Kind: change.KindInt}, {Name: "v", Kind: change.KindText}}}).Seal()
	s := &statement{params: []param{{column: 0, transfer: transferInt4}, {column: 1, transfer: transferInt8}, {column: 2, transfer: transferText}}}
	writes := make([]apply.Write, 1000)
	for i := range writes {
		writes[i] = write(apply.Update, shape, nil, img(fmt.Sprint(i), "123456789", strings.Repeat("x", 50)))
	}
	l := &lane{}
	b.ReportAllocs()
	for b.Loop() {
		sets := gather(writes)
		if _, err := l.encode(s, len(writes), func(i int, old bool) []change.Value { return sets[0].image(writes[i].Row, old) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
