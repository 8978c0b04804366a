package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Client gives orders to the demo that runs in a directory.
type Client struct {
	state State
}

// Open finds the demo that runs in dir; ErrNotRunning when none does.
func Open(dir string) (*Client, error) {
	state, err := ReadState(dir)
	if err != nil {
		return nil, err
	}
	return &Client{state: state}, nil
}

// Config is the demo's configuration, for concord -c.
func (c *Client) Config() string { return c.state.Config }

// Kill ends a site's agent, or its database server, as a crash does.
func (c *Client) Kill(ctx context.Context, site string, database bool) error {
	_, err := c.order(ctx, "kill", site, database)
	return err
}

// Start starts what Kill ended and returns when it works.
func (c *Client) Start(ctx context.Context, site string, database bool) error {
	_, err := c.order(ctx, "start", site, database)
	return err
}

// Verify stops the load, compares both sides and lets the load go on.
func (c *Client) Verify(ctx context.Context) (Verdict, error) {
	a, err := c.order(ctx, "verify", "", false)
	if err != nil {
		return Verdict{}, err
	}
	if a.Verdict == nil {
		return Verdict{}, errors.New("the demo gave no verdict")
	}
	return *a.Verdict, nil
}

func (c *Client) order(ctx context.Context, name, site string, database bool) (a answer, err error) {
	what := theAgent
	if database {
		what = theDatabase
	}
	form := url.Values{"site": {site}, "what": {what}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.state.Control+"/"+name, strings.NewReader(form))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+c.state.Token)
	request.Close = true // there is one order
	response, err := http.DefaultClient.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return a, ErrNotRunning // it crashed: a demo that ends removes its state
	}
	if err != nil {
		return a, fmt.Errorf("asking the demo: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("asking the demo: %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("reading what the demo said: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// connect connects to both databases. The caller calls close.
func (c *Client) connect(ctx context.Context) (shops [2]shop, closeAll func(), err error) {
	closeAll = func() {
		for _, shop := range shops {
			if shop != nil {
				shop.close(context.WithoutCancel(ctx))
			}
		}
	}
	for i, s := range c.state.Sites {
		if shops[i], err = openShop(ctx, s.DSN, c.state.DB); err != nil {
			closeAll()
			return shops, nil, fmt.Errorf("connecting to %s: %w", s.Name, err)
		}
	}
	return shops, closeAll, nil
}
