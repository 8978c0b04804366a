package httpapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/concord-db/concord/internal/engine/site"
)

// conflicts answers a page of records, and next, which as after=… gives the page that
// follows.
func (h *handler) conflicts(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for name, values := range q {
		switch {
		case !slices.Contains(site.ConflictParameters, name):
			fail(w, http.StatusBadRequest, fmt.Errorf("there is no parameter %q; write %s", name, strings.Join(site.ConflictParameters, ", ")))
			return
		case len(values) > 1:
			fail(w, http.StatusBadRequest, fmt.Errorf("%s is given %d times; write it once", name, len(values)))
			return
		}
	}
	f, err := site.ParseConflictFilter(q.Get, time.Now())
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	list, err := h.source.Conflicts(r.Context(), f)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err)
		return
	}
	if list.Conflicts == nil {
		list.Conflicts = []site.Conflict{}
	}
	answer(w, http.StatusOK, list)
}

// conflict answers one record.
func (h *handler) conflict(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		fail(w, http.StatusBadRequest, fmt.Errorf("%q is not an id; take one from /v1/conflicts", r.PathValue("id")))
		return
	}
	c, err := h.source.Conflict(r.Context(), id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fail(w, http.StatusNotFound, fmt.Errorf("there is no conflict %d here: it was pruned, or is another site's; see /v1/conflicts", id))
	case err != nil:
		fail(w, http.StatusServiceUnavailable, err)
	default:
		answer(w, http.StatusOK, c)
	}
}
