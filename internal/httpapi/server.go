package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/concord-db/concord/internal/engine/site"
)

// Source is what the API shows. Its methods may be called concurrently.
type Source interface {
	Status(ctx context.Context) Status
	// Conflicts lists records, newest first; Conflict is one, fs.ErrNotExist when there
	// is none of that id.
	Conflicts(ctx context.Context, f site.ConflictFilter) (site.ConflictPage, error)
	Conflict(ctx context.Context, id int64) (site.Conflict, error)
	// Parked lists records after the one with id after, oldest first, as a value that
	// marshals to JSON.
	Parked(ctx context.Context, after int64, limit int) (any, error)
	// Alive reports whether the agent's loops move.
	Alive() bool
}

// NewHandler returns the API over source.
func NewHandler(source Source, maxLag time.Duration) http.Handler {
	h := &handler{source: source, maxLag: maxLag, process: prometheus.NewRegistry()}
	h.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	read := func(path string, f http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodGet, http.MethodHead, http.MethodOptions:
				f(w, r)
			default:
				w.Header().Set("Allow", "GET, HEAD, OPTIONS")
				fail(w, http.StatusMethodNotAllowed, fmt.Errorf("%s is read only", path))
			}
		})
	}
	read("/v1/status", h.status)
	read("/v1/lag", h.lag)
	read("/v1/conflicts", h.conflicts)
	read("/v1/conflicts/{id}", h.conflict)
	read("/v1/parked", h.parked)
	read("/livez", h.livez)
	read("/readyz", h.readyz)
	read("/metrics", h.metrics)
	read("/{$}", h.index)
	return mux
}

type handler struct {
	source  Source
	maxLag  time.Duration
	process *prometheus.Registry // metrics of the process itself
}

// Serve serves handler on listen until ctx ends.
func Serve(ctx context.Context, listen string, handler http.Handler, log *slog.Logger) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening for HTTP on %s: %w: another program has the address, or it is not of this machine; change http of the site", listen, err)
	}
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = s.Shutdown(closing) // what is still being answered is cut off
		_ = s.Close()
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no fault of ours
}

func fail(w http.ResponseWriter, code int, err error) {
	answer(w, code, map[string]string{"error": err.Error()})
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, h.source.Status(r.Context()))
}

func (h *handler) lag(w http.ResponseWriter, r *http.Request) {
	s := h.source.Status(r.Context())
	type link struct {
		From         string  `json:"from"`
		State        string  `json:"state"`
		Reason       string  `json:"reason,omitempty"`
		LagSeconds   float64 `json:"lag_seconds"`
		Transactions uint64  `json:"transactions"`
		Bytes        uint64  `json:"bytes"`
		Parked       int64   `json:"parked"`
		Held         []Held  `json:"held,omitempty"`
	}
	out := struct {
		Site          string `json:"site"`
		RetainedBytes int64  `json:"retained_bytes"`
		Conflicts     int64  `json:"conflicts"`
		Links         []link `json:"links"`
	}{Site: s.Site, RetainedBytes: s.Capture.RetainedBytes, Conflicts: s.Conflicts, Links: []link{}}
	for _, l := range s.Links {
		out.Links = append(out.Links, link{l.From, l.State, l.Reason, l.LagSeconds, l.Transactions, l.Bytes, s.Parked, l.Held})
	}
	answer(w, http.StatusOK, out)
}

// metrics shows one snapshot, so that its figures fit each other.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	own := prometheus.NewRegistry()
	own.MustRegister(newCollector(h.source.Status(r.Context())))
	promhttp.HandlerFor(prometheus.Gatherers{h.process, own}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

func (h *handler) livez(w http.ResponseWriter, _ *http.Request) {
	if !h.source.Alive() {
		answer(w, http.StatusServiceUnavailable, map[string]any{"live": false})
		return
	}
	answer(w, http.StatusOK, map[string]any{"live": true})
}

// readyz answers 200 when the agents run and no link lags more than allowed:
// ?lag=5s, ?from=SITE.
func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	limit := h.maxLag
	if q := r.URL.Query().Get("lag"); q != "" {
		d, err := time.ParseDuration(q)
		if err != nil || d < 0 {
			fail(w, http.StatusBadRequest, fmt.Errorf("lag=%q is not a duration; write lag=5s", q))
			return
		}
		limit = d
	}
	s := h.source.Status(r.Context())
	from := r.URL.Query().Get("from")
	reasons := []string{}
	if s.State != "running" {
		reasons = append(reasons, s.State+": "+s.Reason)
	}
	if s.State == "running" && s.Role != "apply" && s.Capture.State != "streaming" {
		reasons = append(reasons, "capture "+s.Capture.State+": "+s.Capture.Reason)
	}
	known := from == ""
	for _, l := range s.Links {
		if from != "" && l.From != from {
			continue
		}
		known = true
		if l.LagSeconds > limit.Seconds() {
			reasons = append(reasons, fmt.Sprintf("lag from %s %.3fs > %s", l.From, l.LagSeconds, limit))
		}
		switch l.State {
		case "streaming", "catching_up":
		default:
			reasons = append(reasons, fmt.Sprintf("link from %s %s: %s", l.From, l.State, l.Reason))
		}
	}
	if !known {
		fail(w, http.StatusBadRequest, fmt.Errorf("from=%q is no peer of site %s", from, s.Site))
		return
	}
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
}

// page reads the parameters of a listing.
func page(r *http.Request) (after int64, limit int, err error) {
	limit = 100
	if q := r.URL.Query().Get("after"); q != "" {
		if after, err = strconv.ParseInt(q, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("after=%q is not a number", q)
		}
	}
	if q := r.URL.Query().Get("limit"); q != "" {
		if limit, err = strconv.Atoi(q); err != nil || limit < 1 || limit > 1000 {
			return 0, 0, fmt.Errorf("limit=%q: write a number from 1 to 1000", q)
		}
	}
	return after, limit, nil
}

func (h *handler) parked(w http.ResponseWriter, r *http.Request) {
	after, limit, err := page(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	list, err := h.source.Parked(r.Context(), after, limit)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"parked": list})
}

func (h *handler) index(w http.ResponseWriter, r *http.Request) {
	s := h.source.Status(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "concord %s, cluster %s, site %s: %s\n", s.Version, s.Cluster, s.Site, s.State)
	for _, l := range s.Links {
		lag := "not known here"
		if l.LagSeconds >= 0 {
			lag = fmt.Sprintf("%.3f s", l.LagSeconds)
		}
		fmt.Fprintf(w, "from %s: %s, lag %s\n", l.From, l.State, lag)
	}
	fmt.Fprintln(w, "\n/v1/status /v1/lag /v1/conflicts /v1/parked /metrics /livez /readyz")
}
