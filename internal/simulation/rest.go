package simulation

import "time"

// rest brings the world to rest: nothing breaks any more, applications end, and
// everything is delivered.
func (w *World) rest() {
	w.calm = true
	w.createTables()
	for _, s := range w.sites {
		s.finishAll()
		s.db.Flush()
	}
	for round := 0; ; round++ {
		if round == 300 {
			w.fail(Rest, "the world does not come to rest")
			for _, s := range w.sites {
				w.fail(Rest, "%s", s.standing())
			}
			return
		}
		moved := false
		for _, s := range w.sites {
			if round%10 == 9 { // a relay may need to see more of a stream that lost its end
				s.beat()
			}
			moved = w.drain(s) || moved
		}
		if len(w.failures) > 0 {
			return
		}
		if !moved {
			break
		}
	}
	w.quiet()
}

// quiet exchanges heartbeats, so that every site learns what the others have seen.
func (w *World) quiet() {
	for range 4 {
		for _, s := range w.sites {
			w.now = w.now.Add(time.Millisecond)
			s.beat()
		}
		for moved := true; moved && len(w.failures) == 0; {
			moved = false
			for _, s := range w.sites {
				moved = w.drain(s) || moved
			}
		}
	}
}

// drain lets a site do everything it can. It reports whether anything moved.
func (w *World) drain(s *site) (moved bool) {
	w.now = w.now.Add(time.Microsecond)
	w.survive(s, func() error {
		if err := s.session(); err != nil {
			return err
		}
		for more := true; more; {
			read, err := s.read(1000)
			if err != nil {
				return err
			}
			sent, err := s.publish(s.agents.ctx(), true, true)
			if err != nil {
				return err
			}
			more = read || sent
			moved = moved || more
		}
		return nil
	})
	for _, p := range s.peers {
		if w.mutation != CopyStops && s.copies[p].copyFrom(w.site(p).own, 1000) > 0 {
			moved = true
		}
		w.survive(s, func() error {
			got, err := s.applyStep(p, 1000)
			moved = moved || got || err != nil
			return err
		})
		s.db.Flush()
	}
	w.survive(s, func() error {
		waiting, err := s.askStep()
		moved = moved || waiting > 0 || err != nil
		return err
	})
	return moved
}
