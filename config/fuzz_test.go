package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"
)

type fataler interface{ Fatalf(string, ...any) }

// checkParse checks what holds for any input: a valid configuration or problems
// with places, and never something that is not TOML taken for valid.
func checkParse(t fataler, data []byte) {
	cfg, err := Parse("concord.toml", data)
	var problems Errors
	switch {
	case err == nil:
		if len(cfg.Sites) == 0 || len(cfg.Rules) == 0 || cfg.Cluster == "" {
			t.Fatalf("an incomplete configuration is taken for valid: %+v", cfg)
		}
		if err := toml.Unmarshal([]byte(strings.TrimPrefix(string(data), "\uFEFF")), &map[string]any{}); err != nil {
			t.Fatalf("what is not TOML is taken for valid: %v", err)
		}
		for _, s := range cfg.Sites {
			if s.HTTP == "" || s.DSN.String() == "" || s.Bus.URL() == "" || s.Data == "" {
				t.Fatalf("an incomplete site is taken for valid: %+v", s)
			}
		}
		checkProblems(t, data, cfg.Warnings)
	case !errors.As(err, &problems) || len(problems) == 0:
		t.Fatalf("the error is not Errors: %v", err)
	default:
		checkProblems(t, data, problems)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkParse(t, data) })
}

// A valid file with anything put in somewhere.
func TestDamagedFilesAreRefusedOrRead(t *testing.T) {
	whole, err := os.ReadFile("testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	pieces := rapid.OneOf(
		rapid.SampledFrom([]string{"", "\n", "[", "]", "[[", "]]", "\"", "'", "=", "{", "}", "#", ".", ",", "\\", "\"\"\"", "\x00", "\xff",
			"[table]\n", "[[table]]\n", "[[site.mumbai]]\n", "[site.mumbai.dsn]\n", "\n= 1\n", "table = 1\n", "\nx.y.z = 1\n", "\nsite.mumbai.x = 2026-13-45\n",
			"\n[defaults.conflict]\n", "\ndefaults = {}\n", "99999999999999999999"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, len(whole)).Draw(t, "from")
		to := min(len(whole), from+rapid.IntRange(0, 40).Draw(t, "drop"))
		checkParse(t, []byte(string(whole[:from])+pieces.Draw(t, "piece")+string(whole[to:])))
	})
}

// A password is in no message, wherever in a damaged file it stands.
func TestDamagedFilesShowNoSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := []byte(strings.Replace(withSecrets, "&pasword=tops3cret", "", 1)) // two slips at once can hide it
		for range rapid.IntRange(1, 2).Draw(t, "damages") {
			at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
			if s := string(data); strings.Contains(s[max(0, at-9):min(len(s), at+10)], "s3c") {
				continue // what is left of the secret is to be found again
			}
			data[at] = rapid.SampledFrom([]byte("\"'\n\\ =[]{}#x/?&;")).Draw(t, "byte")
		}
		if _, err := Parse("concord.toml", data); err != nil && shows(err.Error()) {
			t.Fatalf("%v\nin\n%s", err, data)
		}
	})
}
