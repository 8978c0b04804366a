package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector turns a Status into metrics.
type collector struct {
	status Status
	descs  map[string]*prometheus.Desc
}

// metric names, their help and labels.
var metrics = []struct {
	name, help string
	labels     []string
}{
	{"concord_build_info", "Version of the agent.", []string{"version"}},
	{"concord_site_running", "1 when the site's agents run here, 0 while they start or another process runs them.", nil},
	{"concord_site_standby", "1 while another process of the site runs the agents and this one waits to take over.", nil},
	{"concord_capture_state", "1 for the state the capture agent is in.", []string{"state"}},
	{"concord_capture_transactions_total", "Local transactions read from the log.", nil},
	{"concord_capture_rows_total", "Row changes read from the log.", nil},
	{"concord_capture_bytes_total", "Bytes of row changes read from the log.", nil},
	{"concord_capture_frames_total", "Frames stored in the own stream.", nil},
	{"concord_loop_suppressed_total", "Replicated transactions recognised in the log and not published.", nil},
	{"concord_source_retained_bytes", "Log that the database holds back for this site.", nil},
	{"concord_stream_bytes", "Size of the own stream.", nil},
	{"concord_link_state", "1 for the state the link is in.", []string{"from", "state"}},
	{"concord_lag_seconds", "Age of the peer's state as applied here, from heartbeats through the whole path.", []string{"from"}},
	{"concord_lag_transactions", "Transactions that the peer has published and that are not applied here.", []string{"from"}},
	{"concord_lag_bytes", "Bytes of frames that the peer has stored and that are not copied here.", []string{"from"}},
	{"concord_clock_offset_seconds", "How far the peer's clock is ahead of this one's.", []string{"peer"}},
	{"concord_fence_seconds", "Duration of the last fence.", []string{"from"}},
	{"concord_apply_transactions_total", "Transactions applied.", []string{"from"}},
	{"concord_apply_groups_total", "Target transactions committed.", []string{"from"}},
	{"concord_apply_exact_groups_total", "Tries of groups off the set path.", []string{"from"}},
	{"concord_apply_retries_total", "Tries of groups that had to be repeated.", []string{"from"}},
	{"concord_received_rows_total", "Row changes received: applied, kept_local, merged and parked together.", []string{"from"}},
	{"concord_rows_total", "Row changes by what became of them.", []string{"from", "result"}},
	{"concord_conflicts_total", "Conflicts settled since the agent started.", []string{"from", "table", "kind"}},
	{"concord_conflict_records", "Conflict records in the database.", nil},
	{"concord_parked_changes", "Parked changes in the database.", nil},
	{"concord_healed_changes_total", "Parked changes that their row, published again by its origin, made superfluous.", []string{"from"}},
	{"concord_awaited_rows", "Rows that parked changes wait for and that the peer publishes again.", []string{"from"}},
	{"concord_held_tables", "Tables held back until their schema fits.", []string{"from"}},
	{"concord_rules_differ", "Tables, or patterns of tables, that this site and the peer would decide differently: conflicts on them are parked.", []string{"from"}},
	{"concord_window_keys", "Keys with writes in flight.", nil},
	{"concord_window_writes", "Writes in flight.", nil},
	{"concord_window_memory_bytes", "Memory that the writes in flight take, about.", nil},
	{"concord_window_spilled_keys", "Keys with writes in flight that are in files.", nil},
	{"concord_window_spilled_bytes", "Files of the writes in flight.", nil},
}

func newCollector(s Status) *collector {
	c := &collector{status: s, descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		c.descs[m.name] = prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.status
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	counter := func(name string, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(v), labels...)
	}
	gauge("concord_build_info", 1, s.Version)
	gauge("concord_site_running", truth(s.State == "running"))
	gauge("concord_site_standby", truth(s.State == "standby"))
	for _, state := range captureStates {
		gauge("concord_capture_state", truth(s.Capture.State == state), state)
	}
	counter("concord_capture_transactions_total", s.Capture.Transactions)
	counter("concord_capture_rows_total", s.Capture.Rows)
	counter("concord_capture_bytes_total", s.Capture.Bytes)
	counter("concord_capture_frames_total", s.Capture.Frames)
	counter("concord_loop_suppressed_total", s.Capture.Replicated)
	if s.Capture.RetainedBytes >= 0 {
		gauge("concord_source_retained_bytes", float64(s.Capture.RetainedBytes))
	}
	gauge("concord_stream_bytes", float64(s.Capture.StreamBytes))
	if s.Conflicts >= 0 {
		gauge("concord_conflict_records", float64(s.Conflicts))
	}
	if s.Parked >= 0 {
		gauge("concord_parked_changes", float64(s.Parked))
	}
	gauge("concord_window_keys", float64(s.Window.Keys))
	gauge("concord_window_writes", float64(s.Window.Writes))
	gauge("concord_window_memory_bytes", float64(s.Window.Bytes))
	gauge("concord_window_spilled_keys", float64(s.Window.SpilledKeys))
	gauge("concord_window_spilled_bytes", float64(s.Window.SpilledBytes))
	for _, l := range s.Links {
		for _, state := range linkStates {
			gauge("concord_link_state", truth(l.State == state), l.From, state)
		}
		if l.LagSeconds >= 0 {
			gauge("concord_lag_seconds", l.LagSeconds, l.From)
		}
		gauge("concord_lag_transactions", float64(l.Transactions), l.From)
		gauge("concord_lag_bytes", float64(l.Bytes), l.From)
		gauge("concord_clock_offset_seconds", l.ClockOffset, l.From)
		gauge("concord_fence_seconds", l.FenceSeconds, l.From)
		gauge("concord_held_tables", float64(len(l.Held)), l.From)
		gauge("concord_rules_differ", float64(len(l.RulesDiffer)), l.From)
		counter("concord_apply_transactions_total", l.AppliedTxs, l.From)
		counter("concord_apply_groups_total", l.Groups, l.From)
		counter("concord_apply_exact_groups_total", l.ExactGroups, l.From)
		counter("concord_apply_retries_total", l.Retries, l.From)
		counter("concord_received_rows_total", l.Received, l.From)
		counter("concord_rows_total", l.Applied, l.From, "applied")
		counter("concord_rows_total", l.KeptLocal, l.From, "kept_local")
		counter("concord_rows_total", l.Merged, l.From, "merged")
		counter("concord_rows_total", l.Parked, l.From, "parked")
		counter("concord_healed_changes_total", l.Healed, l.From)
		gauge("concord_awaited_rows", float64(l.Awaited), l.From)
		for _, n := range l.Conflicts {
			counter("concord_conflicts_total", n.Count, l.From, n.Table, n.Kind)
		}
	}
}

var (
	captureStates = []string{"starting", "streaming", "standby", "stream_full", "retrying", "stopped", "needs_copy", "elsewhere"}
	linkStates    = []string{"connecting", "streaming", "catching_up", "retrying", "standby", "waiting", "stopped", "needs_copy", "unreachable", "full", "rewound", "refused"}
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
