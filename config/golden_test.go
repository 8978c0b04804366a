package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/bad")

// Each file of testdata/bad is wrong in the way its name says; the text beside it
// is the whole of what a person is told.
func TestWrongFilesAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files in testdata/bad, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Parse("concord.toml", data)
			var problems Errors
			if !errors.As(err, &problems) || cfg != nil {
				t.Fatalf("got %v, %v; want Errors", cfg, err)
			}
			checkProblems(t, data, problems)
			got := err.Error() + "\n"
			if strings.Contains(got, "topse") || strings.Contains(got, "secret@") || strings.Contains(got, "cret@") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".toml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: run the test with -update", err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
	if *update {
		t.Fatal("golden files rewritten: review them, then run without -update")
	}
}

// checkProblems checks what holds for all problems: a place inside the file, a
// message of one line without Go's words, in order.
func checkProblems(t interface{ Fatalf(string, ...any) }, data []byte, problems Errors) {
	lines := strings.Count(string(data), "\n") + 1
	for i, p := range problems {
		switch {
		case p.Line < 1 || p.Line > lines || p.Column < 1:
			t.Fatalf("problem is at %d:%d of a file of %d lines: %s", p.Line, p.Column, lines, p)
		case p.Message == "" || strings.ContainsAny(p.Message+p.Remedy, "\n\r"):
			t.Fatalf("the message is not one line: %q, %q", p.Message, p.Remedy)
		case strings.Contains(p.Message, "config.") || strings.Contains(p.Message, "struct"):
			t.Fatalf("the message names Go types: %q", p.Message)
		case i > 0 && problems[i-1].Line > p.Line:
			t.Fatalf("problems are not in the order of the file: %v", problems)
		}
	}
}
