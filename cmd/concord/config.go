package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
	"github.com/concord-db/concord/internal/change"
	"github.com/concord-db/concord/internal/site"
)

func newConfigCommand(opts *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and explain the configuration file",
		Long:  "Reads the configuration file only: no database and no bus is asked. For those there is\nconcord doctor.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("say what: %s check or %s explain TABLE", cmd.CommandPath(), cmd.CommandPath())
		},
	}
	cmd.AddCommand(newConfigCheckCommand(opts), newConfigExplainCommand(opts))
	return cmd
}

func newConfigCheckCommand(opts *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say all that is wrong with the configuration file",
		Long: "Says all that is wrong with the configuration file, each with its place and what to do.\n" +
			"Exit 0: it is valid, perhaps with warnings. 1: it is not. 2: it could not be read.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := opts.ConfigPath
			if len(args) == 1 {
				file = args[0]
			}
			cfg, err := config.Load(file)
			var problems config.Errors
			if err != nil && !errors.As(err, &problems) {
				return &exitError{2, fmt.Errorf("%w: name the file: concord config check FILE", err)}
			}
			c := newConfigCheck(file, cfg, problems)
			if err := printAnswer(cmd.OutOrStdout(), opts, c); err != nil {
				return err
			}
			if !c.OK {
				return &exitError{code: 1}
			}
			return nil
		},
	}
}

func newConfigExplainCommand(opts *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "explain TABLE",
		Short: "Say which rule decides about a table",
		Long: "Says which [[table]] of the configuration file decides about a table, named schema.table:\n" +
			"at which line, by which pattern, which way it is replicated and how conflicts are settled.\n" +
			"Exit 0: it is replicated. 1: it is not. 2: the configuration file is not valid.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if schema, table, ok := strings.Cut(args[0], "."); !ok || schema == "" || table == "" {
				return &exitError{2, fmt.Errorf("%q is not a table: write schema.table, for example public.orders", args[0])}
			}
			cfg, err := config.Load(opts.ConfigPath)
			var problems config.Errors
			switch {
			case errors.As(err, &problems):
				return &exitError{2, fmt.Errorf("the configuration is not valid\n%w", err)}
			case err != nil:
				return &exitError{2, fmt.Errorf("%w: name the file with --config", err)}
			}
			e := newConfigExplanation(cfg, args[0])
			if err := printAnswer(cmd.OutOrStdout(), opts, e); err != nil {
				return err
			}
			if !e.Replicated {
				return &exitError{code: 1}
			}
			return nil
		},
	}
}

// answer is what a command found out, as JSON and for people.
type answer interface{ print(w io.Writer) }

func printAnswer(w io.Writer, opts *globalOptions, a answer) error {
	if opts.Output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(a)
	}
	a.print(w)
	return nil
}

// configCheck is the answer of concord config check.
type configCheck struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Cluster  string           `json:"cluster,omitempty"`
	Sites    []configSite     `json:"sites,omitempty"`
	Rules    int              `json:"rules"`
	Problems []config.Problem `json:"problems"`
	Warnings []config.Problem `json:"warnings"`
	Needs    []configNeed     `json:"needs,omitempty"` // what tables must have for their rules
	Next     string           `json:"next"`
}

// configNeed is what the tables of a rule must have, which only a database can tell.
type configNeed struct {
	Line   int      `json:"line"`
	Tables []string `json:"tables"`
	Needs  string   `json:"needs"`
	Why    string   `json:"why"`
}

// configNeeds lists them in the order of the file.
func configNeeds(cfg *config.Config) []configNeed {
	var needs []configNeed
	for _, r := range cfg.Rules {
		if why := oldRowFor(cfg, r); why != "" {
			needs = append(needs, configNeed{r.Line, r.Patterns, "REPLICA IDENTITY FULL", why})
		}
	}
	return needs
}

// oldRowFor says why the tables of a rule must log the row before a change; "" when they
// need not.
func oldRowFor(cfg *config.Config, r config.Rule) string {
	if r.Excluded || r.From != "" {
		return ""
	}
	p, err := site.Policy(cfg, r.Policy)
	if err != nil {
		return "" // of a configuration that was not read by Load
	}
	return p.NeedsOldRow()
}

type configSite struct {
	Site     change.Site `json:"site"`
	Database config.DSN  `json:"database"`
	HTTP     string      `json:"http"`
	Bus      string      `json:"bus"`
	Data     string      `json:"data"`
	Password string      `json:"password"`
}

func newConfigCheck(file string, cfg *config.Config, problems config.Errors) configCheck {
	c := configCheck{File: file, OK: cfg != nil, Problems: append([]config.Problem{}, problems...), Warnings: []config.Problem{}}
	if !c.OK {
		c.Next = again("correct "+file+", then: concord config check", file)
		return c
	}
	c.Cluster, c.Rules = cfg.Cluster, len(cfg.Rules)
	c.Warnings = append(c.Warnings, cfg.Warnings...)
	c.Needs = configNeeds(cfg)
	for _, s := range cfg.Sites {
		bus := s.Bus.String()
		if s.Bus.Embedded() {
			bus += " (in the agent)"
		}
		c.Sites = append(c.Sites, configSite{s.Name, s.DSN, s.HTTP, bus, s.Data, s.PasswordSource()})
	}
	c.Next = withConfig("concord doctor", file)
	return c
}

func (c configCheck) print(w io.Writer) {
	for _, p := range c.Problems {
		fmt.Fprintln(w, p)
	}
	for _, p := range c.Warnings {
		p.Message = "warning: " + p.Message
		fmt.Fprintln(w, p)
	}
	if !c.OK {
		fmt.Fprintf(w, "%s: %s\nnext: %s\n", c.File, count(len(c.Problems), "problem"), c.Next)
		return
	}
	fmt.Fprintf(w, "%s: valid, cluster %s, %s, %s, %s\n\n", c.File, c.Cluster,
		count(len(c.Sites), "site"), count(c.Rules, "table rule"), count(len(c.Warnings), "warning"))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SITE\tDATABASE\tPASSWORD FROM\tHTTP\tBUS\tDATA")
	for _, s := range c.Sites {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Site, s.Database, s.Password, s.HTTP, s.Bus, s.Data)
	}
	t.Flush()
	for i, n := range c.Needs {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "line %d: %s needs %s at every site: %s\n", n.Line, strings.Join(n.Tables, ", "), n.Needs, n.Why)
	}
	fmt.Fprintf(w, "\nnext: %s\n", c.Next)
}

// configExplanation is the answer of concord config explain.
type configExplanation struct {
	Table      string        `json:"table"`
	Replicated bool          `json:"replicated"`
	Why        string        `json:"why"`
	Rule       *configRule   `json:"rule"` // null when no rule matches
	From       []change.Site `json:"from"` // whose writes are replicated
	To         []change.Site `json:"to"`
	Conflict   string        `json:"conflict,omitempty"`
	Inherited  bool          `json:"conflict_from_defaults"`
	Needs      string        `json:"needs,omitempty"` // what the table must have for it
	// Called is what the table is called at sites where it has another name.
	Called map[change.Site]string `json:"called,omitempty"`
	Next   string                 `json:"next"`
}

type configRule struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Index    int      `json:"index"`
	Of       int      `json:"of"`
	Pattern  string   `json:"pattern"`
	Patterns []string `json:"patterns"`
}

func newConfigExplanation(cfg *config.Config, table string) configExplanation {
	e := configExplanation{Table: table, From: []change.Site{}, To: []change.Site{}}
	rule, ok := cfg.Rule(table)
	schema, _, _ := strings.Cut(table, ".")
	if ok {
		e.Rule = &configRule{cfg.Path, rule.Line, rule.Index, len(cfg.Rules), rule.Match, rule.Patterns}
	}
	switch {
	case config.Reserved(schema):
		e.Why = fmt.Sprintf("schema %s is the database's own or Concord's", schema)
		e.Next = "nothing to do: such tables are never replicated"
		return e
	case !ok:
		e.Why = "no [[table]] matches it"
		e.Next = fmt.Sprintf("to replicate it, add to %s: [[table]] match = %q", cfg.Path, table)
		return e
	case rule.Excluded:
		e.Why = "its rule excludes it"
		e.Next = fmt.Sprintf("to replicate it, add before line %d of %s: [[table]] match = %q", rule.Line, cfg.Path, table)
		return e
	}
	e.Replicated, e.Conflict, e.Inherited = true, rule.Policy.String(), rule.Inherited
	e.From, e.To = cfg.Names(), cfg.Names()
	e.Why = "every site writes it"
	if rule.From != "" {
		e.From, e.To = []change.Site{rule.From}, append(e.To[:0:0], cfg.Peers(rule.From)...)
		e.Why = "one way, its rule says from " + string(rule.From)
	}
	for _, site := range cfg.Names() {
		local, ok := cfg.NamesAt(site).Local(table)
		if local == table && ok {
			continue
		}
		if e.Called == nil {
			e.Called = map[change.Site]string{}
		}
		if !ok {
			local += ", which is the name of another table of the cluster there: it waits"
		}
		e.Called[site] = local
	}
	if why := oldRowFor(cfg, rule); why != "" {
		e.Needs = "REPLICA IDENTITY FULL at every site: " + why
	}
	e.Next = withConfig("concord doctor", cfg.Path)
	return e
}

func (e configExplanation) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "table\t%s\n", e.Table)
	yes := "no"
	if e.Replicated {
		yes = "yes"
	}
	fmt.Fprintf(t, "replicated\t%s: %s\n", yes, e.Why)
	if e.Rule != nil {
		fmt.Fprintf(t, "rule\t%s:%d, [[table]] %d of %d\n", e.Rule.File, e.Rule.Line, e.Rule.Index, e.Rule.Of)
		fmt.Fprintf(t, "pattern\t%s\n", e.Rule.Pattern)
	}
	for _, site := range slices.Sorted(maps.Keys(e.Called)) {
		fmt.Fprintf(t, "at %s\t%s\n", site, e.Called[site])
	}
	if e.Replicated {
		fmt.Fprintf(t, "direction\t%s\n", direction(e.From, e.To))
		source := "of this rule"
		if e.Inherited {
			source = "of [defaults]"
		}
		fmt.Fprintf(t, "conflict\t%s, %s\n", e.Conflict, source)
		if e.Needs != "" {
			fmt.Fprintf(t, "needs\t%s\n", e.Needs)
		}
	}
	t.Flush()
	fmt.Fprintf(w, "next: %s\n", e.Next)
}

// direction draws who writes for whom.
func direction(from, to []change.Site) string {
	join := func(sites []change.Site, with string) string {
		names := make([]string, len(sites))
		for i, s := range sites {
			names[i] = string(s)
		}
		return strings.Join(names, with)
	}
	switch {
	case len(from)+len(to) <= 2 && (len(to) == 0 || from[0] == to[0]):
		return string(from[0]) + ", there is no other site yet"
	case slices.Equal(from, to):
		return join(from, " <-> ")
	}
	return join(from, ", ") + " -> " + join(to, ", ")
}

// withConfig adds the option that names the file, unless it is the default.
func withConfig(command, file string) string {
	if file == "concord.toml" {
		return command
	}
	return command + " -c " + file
}

func again(command, file string) string {
	if file == "concord.toml" {
		return command
	}
	return command + " " + file
}

// count writes a number with its noun.
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
