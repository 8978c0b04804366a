package site

import (
	"strings"
	"testing"

	"github.com/concord-db/concord/internal/httpapi"
)

// What an operator is told to do fits what each role can know.
func TestNextIsWhatToDo(t *testing.T) {
	with := func(change func(*httpapi.Status)) httpapi.Status {
		s := httpapi.Status{
			Site: "pune", State: "running", Role: "all", Capture: httpapi.Capture{State: "streaming"},
			Links: []httpapi.Link{{From: "mumbai", State: "streaming"}},
		}
		change(&s)
		return s
	}
	for _, c := range []struct {
		name string
		of   httpapi.Status
		want string
	}{
		{"all well", with(func(*httpapi.Status) {}), idle},
		{"capture in another process", with(func(s *httpapi.Status) { s.Role, s.Capture.State = "apply", "elsewhere" }), idle},
		{"standing by", with(func(s *httpapi.Status) { s.State, s.Capture.State, s.Links[0].State = "standby", "standby", "standby" }), idle},
		{"starting", with(func(s *httpapi.Status) { s.State, s.Reason = "starting", "waiting for the database: no" }), "waiting for the database: no"},
		{"the stream is full", with(func(s *httpapi.Status) { s.Capture = httpapi.Capture{State: "stream_full", Reason: "raise it"} }), "capture is stream_full: raise it"},
		{"another program reads the slot", with(func(s *httpapi.Status) { s.Capture = httpapi.Capture{State: "standby", Reason: "session 7"} }), "capture is standby: session 7"},
		{"a link retries", with(func(s *httpapi.Status) { s.Links[0].State, s.Links[0].Reason = "retrying", "deadlock" }), "link from mumbai is retrying: deadlock"},
		{"a peer is away", with(func(s *httpapi.Status) { s.Links[0].State = "unreachable" }), "start the agent of site mumbai"},
		{"rules differ", with(func(s *httpapi.Status) {
			s.Parked, s.Links[0].RulesDiffer = 2, []httpapi.RuleDifference{{Tables: "public.orders", Here: "first_write_wins", There: "last_write_wins"}}
		}), "rules differ from mumbai's, so that conflicts are parked (public.orders: first_write_wins here, last_write_wins there)"},
		{"parked", with(func(s *httpapi.Status) { s.Parked = 2 }), "concord parked list --site pune"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := next(&c.of); !strings.HasPrefix(got, c.want) {
				t.Errorf("next: %q, want %q", got, c.want)
			}
		})
	}
}
