package demo

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// control is where a running demo takes orders of the commands beside it: only the
// demo itself knows its processes and can stop its load. It is HTTP on the loopback
// with a token that only who may read demo.json has.
type control struct {
	listener net.Listener
	token    string
}

// answer is what an order comes back with.
type answer struct {
	Error   string   `json:"error,omitempty"`
	Verdict *Verdict `json:"verdict,omitempty"`
}

func listen() (*control, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for orders: %w", err)
	}
	return &control{listener: l, token: rand.Text()}, nil
}

func (c *control) address() string { return c.listener.Addr().String() }

func (c *control) close() { _ = c.listener.Close() } // nothing was served

// serve takes orders until ctx ends, and returns when the last is done.
func (c *control) serve(ctx context.Context, d *demo) error {
	mux := http.NewServeMux()
	order := func(name string, f func(context.Context, *http.Request) (*Verdict, error)) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.token)) == 0 {
				http.Error(w, "the token of demo.json is missing", http.StatusForbidden)
				return
			}
			asked, cancel := either(r.Context(), ctx)
			defer cancel()
			var a answer
			var err error
			if a.Verdict, err = f(asked, r); err != nil {
				a.Error = err.Error()
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(a) // who asked may be gone
		})
	}
	order("kill", func(_ context.Context, r *http.Request) (*Verdict, error) {
		return nil, d.kill(r.FormValue("site"), r.FormValue("what"))
	})
	order("start", func(asked context.Context, r *http.Request) (*Verdict, error) {
		return nil, d.restart(asked, r.FormValue("site"), r.FormValue("what"))
	})
	order("verify", func(asked context.Context, _ *http.Request) (*Verdict, error) { return d.verifyNow(asked, ctx) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if server.Shutdown(closing) != nil {
			_ = server.Close() // an order that does not end
		}
	})
	err := server.Serve(c.listener)
	if stop() {
		return fmt.Errorf("taking orders: %w", err)
	}
	<-stopped
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("taking orders: %w", err)
	}
	return nil
}

// What kill and start take.
const (
	theAgent    = "agent"
	theDatabase = "database"
)

func (d *demo) named(name string) (*site, error) {
	for _, s := range d.sites {
		if s.name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("there is no site %q in the demo; there are %s and %s", name, names[0], names[1])
}

// kill ends a site's agent or database as a crash does.
func (d *demo) kill(name, what string) error {
	s, err := d.named(name)
	if err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	if what == theDatabase {
		if !s.server.Running() {
			return fmt.Errorf("the database of %s is not running: concord demo start %s --database", name, name)
		}
		return s.server.Kill()
	}
	if !s.agent.Running() {
		return fmt.Errorf("the agent of %s is not running: concord demo start %s", name, name)
	}
	return s.agent.Kill()
}

// restart starts what kill has ended. It returns when that works again.
func (d *demo) restart(ctx context.Context, name, what string) error {
	s, err := d.named(name)
	if err != nil {
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not within %s", startLimit))
	defer cancel()
	if what == theDatabase {
		if s.server.Running() {
			return fmt.Errorf("the database of %s is running", name)
		}
		return s.server.Start(ctx)
	}
	if err := s.agent.Start(); err != nil {
		return err
	}
	return s.agent.Await(ctx)
}

// verifyNow stops the load, compares both sides and lets the load go on until playing
// ends.
func (d *demo) verifyNow(ctx, playing context.Context) (*Verdict, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.writing.stop()
	defer d.writing.start(playing)
	ctx, cancel := context.WithTimeoutCause(ctx, catchUp, fmt.Errorf("it did not catch up within %s", catchUp))
	defer cancel()
	v, err := verify(ctx, d.sites, d.o.DB)
	if err != nil {
		return nil, err
	}
	return &v, nil
}
