package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/httpapi"
)

// siteStatus is a site's own word, or why there is none.
type siteStatus struct {
	Site   string          `json:"site"`
	Error  string          `json:"error,omitempty"`
	Status *httpapi.Status `json:"status,omitempty"`
}

func newStatusCommand(opts *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show sites and links",
		Long:  "Asks the agent of every site. Exit 0: all run and nothing waits for a person; 1: not so.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(opts.ConfigPath)
			if err != nil {
				return err
			}
			var all []siteStatus
			for _, s := range cfg.Sites {
				st := siteStatus{Site: string(s.Name)}
				if st.Status, err = askStatus(cmd.Context(), s.HTTP); err != nil {
					st.Error = err.Error()
				}
				all = append(all, st)
			}
			return printStatus(cmd, opts, cfg, all)
		},
	}
}

func askStatus(ctx context.Context, addr string) (*httpapi.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/status", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the agent at %s answers %s", addr, resp.Status)
	}
	var s httpapi.Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", addr, err)
	}
	return &s, nil
}

func printStatus(cmd *cobra.Command, opts *globalOptions, cfg *config.Config, all []siteStatus) error {
	well, next := true, "nothing to do"
	trouble := func(text string) {
		if well {
			next = text
		}
		well = false
	}
	var sites, links []string
	for _, s := range all {
		if s.Status == nil {
			trouble(fmt.Sprintf("site %s: start its agent (concord run --site %s), or make its http address reachable", s.Site, s.Site))
			sites = append(sites, fmt.Sprintf("%s\tunreachable\t-\t-\t-\t-\t-\t%s", s.Site, oneLine(s.Error)))
			continue
		}
		st := s.Status
		if st.Next != "nothing to do" {
			trouble("site " + s.Site + ": " + st.Next)
		}
		sites = append(sites, fmt.Sprintf("%s\t%s\t%s\t%d MB\t%s\t%d\t%d\t%s", s.Site, st.State, st.Capture.State,
			st.Capture.RetainedBytes>>20, inFlight(&st.Window), st.Conflicts, st.Parked, oneLine(st.Reason+" "+st.Capture.Reason)))
		for _, l := range st.Links {
			reason := l.Reason
			for _, h := range l.Held {
				reason += fmt.Sprintf(" table %s held back: %s", h.Table, h.Message)
			}
			if l.Awaited > 0 {
				reason += fmt.Sprintf(" %d rows are awaited whole;", l.Awaited)
			}
			for _, d := range l.RulesDiffer {
				reason += " rules differ, " + d.String() + ";"
			}
			lag := "-" // not known here
			if l.LagSeconds >= 0 {
				lag = time.Duration(l.LagSeconds * float64(time.Second)).Round(time.Millisecond).String()
			}
			links = append(links, fmt.Sprintf("%s→%s\t%s\t%s\t%d\t%d\t%s", l.From, s.Site, l.State, lag, l.Transactions, l.Bytes, oneLine(reason)))
		}
	}
	w := cmd.OutOrStdout()
	if opts.Output == "json" {
		if err := printJSON(w, map[string]any{"cluster": cfg.Cluster, "healthy": well, "sites": all, "next": next}); err != nil {
			return err
		}
	} else {
		table(w, "SITE\tSTATE\tCAPTURE\tRETAINED\tIN FLIGHT\tCONFLICTS\tPARKED\tREASON", sites)
		fmt.Fprintln(w)
		table(w, "LINK\tSTATE\tLAG\tTRANSACTIONS\tBYTES\tREASON", links)
		fmt.Fprintf(w, "\nnext: %s\n", next)
	}
	if !well {
		return &exitError{code: 1}
	}
	return nil
}

// inFlight says how many keys the window holds, and how much of that is in files.
func inFlight(w *httpapi.Window) string {
	if w.SpilledBytes == 0 {
		return fmt.Sprintf("%d keys", w.Keys)
	}
	return fmt.Sprintf("%d keys, %d MB in files", w.Keys, w.SpilledBytes>>20)
}
