package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/concord-db/concord/config"
)

// The example of the manual is the one that is tested, word for word, and the
// manual names every key.
func TestTheManualIsTrue(t *testing.T) {
	manual, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../config/testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manual), "```toml\n"+string(example)+"```\n") {
		t.Error("the example of docs/CONFIG.md is not config/testdata/good/full.toml")
	}
	keys := regexp.MustCompile("(?m)the keys of .* are (.*)$")
	golden, err := filepath.Glob("../../config/testdata/bad/*.txt")
	if err != nil || len(golden) == 0 {
		t.Fatal(golden, err)
	}
	for _, file := range golden {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keys.FindAllStringSubmatch(string(text), -1) {
			for key := range strings.SplitSeq(m[1], ", ") {
				if !strings.Contains(string(manual), "`"+key+"`") && !strings.Contains(string(manual), "["+key) {
					t.Errorf("docs/CONFIG.md does not explain %q", key)
				}
			}
		}
	}
}

// Each snippet of TOML in the manual is valid in a file that has what it refers to.
func TestTheSnippetsOfTheManualAreValid(t *testing.T) {
	manual, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	if len(snippets) < 5 {
		t.Fatalf("found %d snippets", len(snippets))
	}
	const cluster = "cluster = \"shop\"\n"
	const sites = `
[site.mumbai]
dsn  = "postgres://concord@10.1.0.5/shop"
http = "10.1.0.9:8480"
bus  = "10.1.0.9:8422"
[site.pune]
dsn  = "postgres://concord@10.2.0.5/shop"
http = "10.2.0.9:8480"
bus  = "10.2.0.9:8422"
`
	const table = "\n[[table]]\nmatch = \"last.*\"\n"
	for _, m := range snippets {
		s := m[1]
		if !strings.Contains(s, "cluster =") {
			s = cluster + s
		}
		if !strings.Contains(s, "[site.") {
			s += sites
		}
		if !strings.Contains(s, "[[table]]") {
			s += table
		}
		cfg, err := config.Parse("concord.toml", []byte(s))
		if err != nil {
			t.Errorf("%v\nin\n%s", err, m[1])
			continue
		}
		for _, w := range cfg.Warnings {
			t.Errorf("warning: %s\nin\n%s", w, m[1])
		}
	}
}

func TestEveryConfigCommandSaysWhatItsExitCodesMean(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.HasSubCommands() && !strings.Contains(c.Long, "Exit 0: ") {
			t.Errorf("%s: help says nothing of exit codes", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newConfigCommand(&globalOptions{}))
}
