package logical

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/TYPES.md")

func TestThePageOfTypesIsTrue(t *testing.T) {
	const path = "../../docs/TYPES.md"
	if *update {
		if err := os.WriteFile(path, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != Page() {
		t.Error("docs/TYPES.md is not what the code says: go test ./internal/logical -run Page -update")
	}
}
