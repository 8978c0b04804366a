package httpapi

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/concord-db/concord/internal/engine/site"
)

// fake is a site that says what the test wants.
type fake struct {
	status Status
	alive  bool
	asked  site.ConflictFilter
}

func (f *fake) Status(context.Context) Status { return f.status }
func (f *fake) Alive() bool                   { return f.alive }
func (f *fake) Conflicts(_ context.Context, q site.ConflictFilter) (site.ConflictPage, error) {
	f.asked = q
	return site.ConflictPage{Next: "1-2"}, nil
}
func (f *fake) Conflict(_ context.Context, id int64) (site.Conflict, error) {
	if id != 17 {
		return site.Conflict{}, fs.ErrNotExist
	}
	return site.Conflict{ID: id}, nil
}
func (f *fake) Parked(context.Context, int64, int) (any, error) { return []any{}, nil }

func healthy() *fake {
	return &fake{alive: true, status: Status{
		Site: "pune", Cluster: "shop", Version: "test", Role: "all", State: "running", Conflicts: 3, Parked: 1,
		Capture: Capture{State: "streaming", RetainedBytes: 4096, Transactions: 10, Rows: 20},
		Links: []Link{{
			From: "mumbai", State: "streaming", LagSeconds: 0.012, Transactions: 2, Bytes: 300,
			Received: 10, Applied: 6, KeptLocal: 2, Merged: 1, Parked: 1,
			Conflicts: []ConflictCount{{"public.orders", "insert_exists", 4}},
		}},
	}}
}

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, w.Body.String()
}

func TestLagIsExactAndNeverFlattersADeadLink(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name          string
		beat, applied time.Duration // before now
		offset        time.Duration
		want          float64
	}{
		{"a heartbeat that took 12 ms", 500 * time.Millisecond, 488 * time.Millisecond, 0, 0.012},
		{"the same with the origin's clock ten minutes ahead", 500*time.Millisecond - 10*time.Minute, 488 * time.Millisecond, 10 * time.Minute, 0.012},
		{"between two heartbeats it does not grow", 900 * time.Millisecond, 888 * time.Millisecond, 0, 0.012},
		{"no heartbeat for a minute", time.Minute, time.Minute - 12*time.Millisecond, 0, 59},
		{"catching up: applied just now, written long ago", 30 * time.Second, 0, 0, 30},
		{"clocks that disagree by more than the lag", 500 * time.Millisecond, 510 * time.Millisecond, 0, 0.0001},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Lag(now, now.Add(-c.beat), now.Add(-c.applied), c.offset)
			if d := got - c.want; d > 1e-9 || d < -1e-9 {
				t.Errorf("lag %v, want %v", got, c.want)
			}
		})
	}
}

func TestLagAnswersWhatMonitoringReads(t *testing.T) {
	_, body := get(t, NewHandler(healthy(), 10*time.Second), http.MethodGet, "/v1/lag")
	var got struct {
		Site  string
		Links []map[string]any
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"from": "mumbai", "state": "streaming", "lag_seconds": 0.012, "transactions": 2.0, "bytes": 300.0}
	if got.Site != "pune" || len(got.Links) != 1 {
		t.Fatalf("got %s", body)
	}
	for k, v := range want {
		if got.Links[0][k] != v {
			t.Errorf("%s is %v, want %v", k, got.Links[0][k], v)
		}
	}
}

func TestProbesAnswerByTheirCode(t *testing.T) {
	slow := healthy()
	slow.status.Links[0].LagSeconds = 7
	broken := healthy()
	broken.status.Links[0].State, broken.status.Links[0].Reason = "unreachable", "connection refused"
	starting := healthy()
	starting.status.State, starting.status.Reason = "starting", "waiting for the database"
	standby := healthy()
	standby.status.State, standby.status.Reason, standby.status.Capture.State, standby.status.Links[0].State = "standby", "another agent: session 7", "standby", "standby"
	applies := healthy()
	applies.status.Role, applies.status.Capture.State = "apply", "elsewhere"
	captures := healthy()
	captures.status.Role, captures.status.Links[0].LagSeconds = "capture", -1
	capture := healthy()
	capture.status.Capture.State = "stopped"
	dead := healthy()
	dead.alive = false
	for _, c := range []struct {
		name   string
		source *fake
		path   string
		code   int
		says   string
	}{
		{"ready", healthy(), "/readyz", 200, `"ready":true`},
		{"behind, within the default", slow, "/readyz", 200, ""},
		{"behind, beyond what is asked", slow, "/readyz?lag=5s", 503, "lag from mumbai 7.000s"},
		{"another peer is not asked about", slow, "/readyz?lag=5s&from=delhi", 400, "no peer"},
		{"a link is down", broken, "/readyz", 503, "connection refused"},
		{"starting", starting, "/readyz", 503, "waiting for the database"},
		{"standing by", standby, "/readyz", 503, "standby: another agent: session 7"},
		{"apply alone", applies, "/readyz", 200, ""},
		{"capture alone, which does not know the lag", captures, "/readyz?lag=1s", 200, ""},
		{"a standby among the metrics", standby, "/metrics", 200, "concord_site_standby 1"},
		{"capture stopped", capture, "/readyz", 503, "capture stopped"},
		{"nonsense", healthy(), "/readyz?lag=soon", 400, "lag=5s"},
		{"alive while a link is down", broken, "/livez", 200, ""},
		{"not alive", dead, "/livez", 503, ""},
		{"a page", healthy(), "/v1/conflicts?limit=5&after=9-2&table=public.t&kind=insert_exists&since=7d&until=1h", 200, `"next":"1-2"`},
		{"a page without conflicts", healthy(), "/v1/conflicts", 200, `"conflicts":[]`},
		{"an end before its beginning", healthy(), "/v1/conflicts?since=1h&until=2h", 400, "is not before until"},
		{"a table without its schema", healthy(), "/v1/conflicts?table=orders", 400, "write schema.name"},
		{"a kind that is none", healthy(), "/v1/conflicts?kind=insert", 400, "write one of insert_exists, update_origin_differs"},
		{"a place that is none", healthy(), "/v1/conflicts?after=9", 400, "take it from next"},
		{"a parameter that is none", healthy(), "/v1/conflicts?before=9", 400, "write since, until, table, kind, limit, after"},
		{"a parameter twice", healthy(), "/v1/conflicts?limit=9&limit=8", 400, "write it once"},
		{"one conflict", healthy(), "/v1/conflicts/17", 200, `"id":17`},
		{"a conflict that is not there", healthy(), "/v1/conflicts/18", 404, "it was pruned"},
		{"no id", healthy(), "/v1/conflicts/last", 400, "take one from /v1/conflicts"},
		{"a wrong page", healthy(), "/v1/conflicts?limit=0", 400, "from 1 to 1000"},
		{"a wrong time", healthy(), "/v1/conflicts?since=yesterday", 400, "RFC 3339"},
		{"parked", healthy(), "/v1/parked", 200, `"parked":[]`},
		{"nothing there", healthy(), "/v2/status", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHandler(c.source, 10*time.Second)
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
				if code, body := get(t, h, method, c.path); code != c.code || !strings.Contains(body, c.says) {
					t.Errorf("%s %s: %d %s", method, c.path, code, body)
				}
			}
		})
	}
	f := healthy()
	get(t, NewHandler(f, time.Second), http.MethodGet, "/v1/conflicts?limit=5&after=9000000-2&table=public.t&kind=insert_exists&since=2026-07-31T12:00:00Z")
	if want := (site.ConflictFilter{
		Limit: 5, After: site.ConflictCursor{At: time.UnixMicro(9_000_000).UTC(), ID: 2}, Table: "public.t", Kind: "insert_exists",
		Since: time.Date(2026, 7, 31, 12, 0, 0, 0, time.UTC),
	}); f.asked != want {
		t.Errorf("asked for %+v, want %+v", f.asked, want)
	}
	if code, _ := get(t, NewHandler(healthy(), time.Second), http.MethodPost, "/v1/status"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST /v1/status: %d", code)
	}
}

func TestMetricsAreInOrderAndAddUp(t *testing.T) {
	f := healthy()
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(f.status))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	l := f.status.Links[0]
	if l.Applied+l.KeptLocal+l.Merged+l.Parked != l.Received {
		t.Error("the fake's rows do not add up")
	}
	want := `
# HELP concord_received_rows_total Row changes received: applied, kept_local, merged and parked together.
# TYPE concord_received_rows_total counter
concord_received_rows_total{from="mumbai"} 10
# HELP concord_rows_total Row changes by what became of them.
# TYPE concord_rows_total counter
concord_rows_total{from="mumbai",result="applied"} 6
concord_rows_total{from="mumbai",result="kept_local"} 2
concord_rows_total{from="mumbai",result="merged"} 1
concord_rows_total{from="mumbai",result="parked"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "concord_received_rows_total", "concord_rows_total"); err != nil {
		t.Error(err)
	}
	_, body := get(t, NewHandler(f, time.Second), http.MethodGet, "/metrics")
	if !strings.Contains(body, `concord_link_state{from="mumbai",state="streaming"} 1`) {
		t.Error("the link's state is missing from /metrics")
	}
}
