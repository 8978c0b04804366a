package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Open finds the demo that runs in dir.
func Open(o Options) (*Demo, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		return nil, fmt.Errorf("no demo runs in %s: %w; start one with `make demo`", o.Dir, err)
	}
	o.Dir = dir
	d := &Demo{o: o}
	if err := json.Unmarshal(data, &d.State); err != nil {
		return nil, fmt.Errorf("reading the demo's state: %w", err)
	}
	return d, nil
}

// Site returns a site by name.
func (d *Demo) Site(name string) (*Site, error) {
	var names []string
	for _, s := range d.State.Sites {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("there is no site %q: %s", name, strings.Join(names, ", "))
}

// Kill kills a site's agent with SIGKILL.
func (d *Demo) Kill(name string) error {
	s, err := d.Site(name)
	if err != nil {
		return err
	}
	if s.PID == 0 {
		return fmt.Errorf("the agent of %s does not run; concord demo start %s", name, name)
	}
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing the agent of %s: %w", name, err)
	}
	s.PID = 0
	d.printf("%s: agent killed (SIGKILL); what the other site writes waits for it\nnext: concord demo start %s\n", name, name)
	return d.save()
}

// Start starts a killed agent again. It lives as long as the demo's servers: the
// demo stops it by its number when it ends.
func (d *Demo) Start(ctx context.Context, name string) error {
	s, err := d.Site(name)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.o.Dir, s.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(d.o.Program, "run", "--site", s.Name, "-c", d.State.Config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.PID = cmd.Process.Pid
	if err := d.save(); err != nil {
		return err
	}
	began := time.Now()
	if err := d.awaitStreaming(ctx); err != nil {
		return err
	}
	d.printf("%s: agent runs and has caught up in %s\nnext: concord demo verify\n", name, time.Since(began).Round(10*time.Millisecond))
	return nil
}

func (d *Demo) connectBoth(ctx context.Context) ([]*pgx.Conn, func(), error) {
	var conns []*pgx.Conn
	stop := func() {
		for _, c := range conns {
			closeConn(ctx, c)
		}
	}
	for _, s := range d.State.Sites {
		c, err := pgx.Connect(ctx, s.DSN)
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("connecting to %s: %w", s.Name, err)
		}
		conns = append(conns, c)
	}
	return conns, stop, nil
}

// Conflict writes one row at both sites at the same moment and shows what became of
// it.
func (d *Demo) Conflict(ctx context.Context) error {
	conns, stop, err := d.connectBoth(ctx)
	if err != nil {
		return err
	}
	defer stop()
	key := "DEMO-" + fmt.Sprint(time.Now().UnixNano())
	if _, err := conns[0].Exec(ctx, `INSERT INTO customers (name, email, city) VALUES ($1, 'demo@example.com', 'start')`, key); err != nil {
		return err
	}
	if err := quiesce(ctx, conns); err != nil {
		return err
	}
	errs := make(chan error, len(conns))
	for i, c := range conns {
		name := d.State.Sites[i].Name
		d.printf("%-8s UPDATE customers SET city = '%s' WHERE name = '%s'\n", name, name, key)
		go func() {
			_, err := c.Exec(ctx, `UPDATE customers SET city = $1 WHERE name = $2`, name, key)
			errs <- err
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			return err
		}
	}
	if err := quiesce(ctx, conns); err != nil {
		return err
	}
	for i, c := range conns {
		var city string
		if err := c.QueryRow(ctx, `SELECT city FROM customers WHERE name = $1`, key).Scan(&city); err != nil {
			return err
		}
		d.printf("%-8s city = %s\n", d.State.Sites[i].Name, city)
	}
	d.printf("next: concord conflicts list -c %s --site %s\n", d.State.Config, d.State.Sites[0].Name)
	return nil
}

// LoadRows writes rows at the first site and waits until the other has them.
func (d *Demo) LoadRows(ctx context.Context, rows int) error {
	conns, stop, err := d.connectBoth(ctx)
	if err != nil {
		return err
	}
	defer stop()
	began := time.Now()
	_, err = conns[0].Exec(ctx, `INSERT INTO customers (name, email) SELECT 'load ' || i, 'load' || i || '@example.com' FROM generate_series(1, $1::int) i`, rows)
	if err != nil {
		return err
	}
	d.printf("%s: %d rows written in %s\n", d.State.Sites[0].Name, rows, time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := quiesce(ctx, conns); err != nil {
		return err
	}
	took := time.Since(began)
	d.printf("%s: caught up in %s, %.0f rows/s\nnext: concord demo verify\n", d.State.Sites[1].Name, took.Round(time.Millisecond), float64(rows)/took.Seconds())
	return nil
}

// Verify compares both sides row by row. While a load runs, rows in flight differ:
// it looks again until a look finds none, a few times.
func (d *Demo) Verify(ctx context.Context) error {
	conns, stop, err := d.connectBoth(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for try := 1; ; try++ {
		verdicts, err := verify(ctx, conns)
		if err != nil {
			return err
		}
		different := 0
		for _, v := range verdicts {
			different += v.Differences
		}
		if different > 0 && try < 5 {
			wait(ctx, time.Second)
			continue
		}
		for _, v := range verdicts {
			d.printf("%-14s %8d %8d rows, %d differences\n", v.Table, v.Rows[0], v.Rows[1], v.Differences)
		}
		if different > 0 {
			d.printf("%d rows differ; while a load runs, rows in flight do\n", different)
			return ErrDiffer
		}
		return nil
	}
}
