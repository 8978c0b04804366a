package demo

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Load writes many rows at a site in one transaction and waits until the other has
// them. The demo's own load goes on meanwhile.
func (c *Client) Load(ctx context.Context, out io.Writer, site string, rows int) error {
	at := -1
	for i, s := range c.state.Sites {
		if s.Name == site {
			at = i
		}
	}
	if at < 0 {
		return fmt.Errorf("there is no site %q in the demo; there are %s and %s", site, names[0], names[1])
	}
	shops, closeAll, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	began := time.Now()
	if err := shops[at].manyCustomers(ctx, strconv.FormatInt(began.UnixNano(), 36), rows); err != nil {
		return fmt.Errorf("writing %d rows at %s: %w", rows, site, err)
	}
	wrote := time.Since(began)
	fmt.Fprintf(out, "%s: one transaction of %d rows, %.1f s\n", site, rows, wrote.Seconds())
	began = time.Now()
	if err := quiesce(ctx, shops); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Fprintf(out, "%s: has them %.1f s later (%.0f rows/s)\nnext: concord demo verify\n", names[1-at], took.Seconds(), float64(rows)/took.Seconds())
	return nil
}
