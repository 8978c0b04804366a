package layout_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/concord-db/concord"

// within lists all that some packages may import, beside the standard library and
// packages below themselves.
var within = []struct {
	packages string // and everything below it
	may      []string
	why      string
}{
	{"internal/change", nil, "the vocabulary knows nothing but the language"},
	{"internal/crossing", []string{"apply", "capture", "conflict", "internal/change", "internal/engine", "internal/logical", "internal/collation", "github.com/zeebo/xxh3", "github.com/cockroachdb/apd/v3", "go.starlark.net"},
		"what differs between sites is known from shapes and catalogues; no database is asked but through an engine"},
	{"internal/collation", nil, "which texts are equal is a table, not a database"},
	{"internal/logical", []string{"internal/change", "internal/collation"}, "what types have in common is a table, not a database"},
	{"conflict", []string{"internal/change", "internal/collation", "github.com/zeebo/xxh3", "github.com/cockroachdb/apd/v3", "go.starlark.net"},
		"policies are pure functions: no database, no bus, no clock"},
	{"capture", []string{"internal/change", "conflict", "golang.org/x/sync", "github.com/cenkalti/backoff/v5", "github.com/prometheus/client_golang"},
		"capture asks for a Source and a Publisher; it knows neither database nor bus"},
	{"apply", []string{"internal/change", "conflict", "golang.org/x/sync", "github.com/cenkalti/backoff/v5", "github.com/prometheus/client_golang"},
		"apply asks for a Log, a Fence and a Target; it knows neither database nor bus"},
}

// only lists who may import what belongs in one place.
var only = []struct {
	imports string // and everything below it
	by      []string
	why     string
}{
	{"github.com/nats-io", []string{"stream"}, "the bus is the stream's affair"},
	{"google.golang.org/protobuf", []string{"stream"}, "the wire format is the stream's affair"},
	{"github.com/jackc", []string{"internal/engine/postgres", "internal/testcluster", "internal/demo", "internal/e2e", "cmd/bench"},
		"everything that knows PostgreSQL is one folder; the demo, the bench and the tests play its applications"},
	{"github.com/go-mysql-org", []string{"internal/engine/mysql", "internal/demo", "internal/e2e", "cmd/bench"},
		"everything that knows MySQL and MariaDB is one folder; the demo, the bench and the tests play their applications"},
	{module + "/internal/engine/mysql", []string{"internal/engine", "internal/e2e", "cmd"}, "generic code never asks which engine it has"},
	{module + "/internal/engine/postgres", []string{"internal/engine", "internal/e2e", "cmd"}, "generic code never asks which engine it has"},
	{module + "/internal/testcluster", []string{"internal/demo", "internal/e2e", "cmd"}, "servers are started for tests, the demo and the bench, never by an agent"},
	{module + "/stream", []string{"internal/site", "internal/agent", "internal/e2e", "cmd"}, "agents get the stream handed in"},
	{module + "/cmd", nil, "commands are ends"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list asks the go command for packages of the module.
func list(t *testing.T, arguments ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Imports,Deps"}, arguments...)...)
	cmd.Dir = "../.."
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("listing packages: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("listing packages: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading what go list says: %v", err)
		}
		packages = append(packages, p)
	}
}

// below reports whether path is root or a package below it.
func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func full(path string) string {
	if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
		return path
	}
	return module + "/" + path
}

func TestImportsPointOneWay(t *testing.T) {
	packages := list(t, "./...")
	if len(packages) < 4 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		for _, imported := range p.Imports {
			if standard(imported) {
				continue
			}
			for _, rule := range within {
				if !below(p.ImportPath, full(rule.packages)) || below(imported, full(rule.packages)) {
					continue
				}
				if !slices.ContainsFunc(rule.may, func(may string) bool { return below(imported, full(may)) }) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.why)
				}
			}
			for _, rule := range only {
				if !below(imported, rule.imports) || below(p.ImportPath, rule.imports) {
					continue
				}
				if !slices.ContainsFunc(rule.by, func(by string) bool { return below(p.ImportPath, full(by)) }) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.why)
				}
			}
		}
	}
}

func TestTheProgramIsFreeOfTheTestingPackage(t *testing.T) {
	for _, p := range list(t, "./cmd/...") {
		if below(p.ImportPath, module+"/cmd/concord") && slices.Contains(p.Deps, "testing") {
			t.Errorf("%s depends on testing: what plays for tests belongs in a _test file", p.ImportPath)
		}
	}
}
