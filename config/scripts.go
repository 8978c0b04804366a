package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/concord-db/concord/conflict"
	"github.com/concord-db/concord/conflict/resolver"
)

// scriptRef is a rule in Starlark and where the configuration names it.
type scriptRef struct {
	ref string // FILE.star:FUNCTION as it is written
	at  Problem
}

// maxScriptBytes is far above any rule that a person would write.
const maxScriptBytes = 256 << 10

// Resolver returns the rule that the configuration calls ref, FILE.star:FUNCTION. ok is
// false when the configuration does not name it, or was made by Parse alone.
func (c *Config) Resolver(ref string) (r *conflict.Resolver, ok bool) {
	r, ok = c.resolvers[ref]
	return r, ok
}

// loadScripts reads and compiles the scripts that the configuration names. Relative
// paths start at the directory of the file.
func (c *Config) loadScripts() []Problem {
	c.resolvers = map[string]*conflict.Resolver{}
	var problems []Problem
	loaded := map[string]*resolver.Script{}
	failed := map[string]bool{}
	for _, s := range c.scripts {
		file, function, _ := strings.Cut(s.ref, ":")
		if c.resolvers[s.ref] != nil || failed[file] {
			continue
		}
		if loaded[file] == nil {
			script, problem := c.loadScript(file, s.at)
			if script == nil {
				failed[file] = true
				problems = append(problems, problem)
				continue
			}
			loaded[file] = script
		}
		r, err := loaded[file].Resolver(function)
		if err != nil {
			problems = append(problems, s.problem(err, "define it there: def "+function+"(older, newer, base):"+rulesThere(loaded[file])))
			continue
		}
		c.resolvers[s.ref] = r
	}
	return problems
}

func (c *Config) loadScript(file string, at Problem) (*resolver.Script, Problem) {
	path := c.resolve(file)
	source, err := os.ReadFile(path)
	ref := scriptRef{at: at}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ref.problem(fmt.Errorf("there is no file %s", path), "a relative path starts at the directory of this file; the script must be the same at every site")
	case err != nil:
		return nil, ref.problem(fmt.Errorf("the script cannot be read: %w", err), "make it readable for the agent")
	case len(source) > maxScriptBytes:
		return nil, ref.problem(fmt.Errorf("%s has %d bytes; a rule has at most %d", path, len(source), maxScriptBytes), "check that this is the right file")
	}
	script, err := resolver.Load(file, source)
	if err != nil {
		return nil, ref.problem(err, "correct the script, then: concord config check")
	}
	return script, Problem{}
}

// problem is err at the place that names the script.
func (s scriptRef) problem(err error, remedy string) Problem {
	p := s.at
	p.Message, p.Remedy = err.Error(), remedy
	return p
}

func rulesThere(s *resolver.Script) string {
	if rules := s.Rules(); len(rules) > 0 {
		return "; its rules are " + strings.Join(rules, ", ")
	}
	return ""
}
