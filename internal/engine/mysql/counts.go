package mysql

import "context"

// Counts returns how many conflict records and parked changes there are.
func (db *DB) Counts(ctx context.Context) (conflicts, parked int64, err error) {
	err = db.admin(ctx, "counting conflicts and parked changes", func(c *conn) error {
		r, err := c.query(ctx, "SELECT (SELECT count(*) FROM concord.conflict), (SELECT count(*) FROM concord.parked)")
		if err != nil {
			return err
		}
		defer r.Close()
		return each(r, func(f *fields) error {
			conflicts, parked = f.number(), f.number()
			return nil
		})
	})
	return conflicts, parked, err
}
