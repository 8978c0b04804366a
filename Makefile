# Concord. `make help` lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Packages whose tests run a second time under the race detector: those that are
# pure or concurrent and need no database server.
RACE := ./apply/... ./capture/... ./conflict/... ./stream/... ./internal/change/... ./internal/simulation/...

GOLANGCI         := .cache/bin/golangci-lint
GOLANGCI_VERSION := v2.15.0

FUZZTIME ?= 30s
SEEDS    ?= 100000
WORLDS   ?= 100

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary bin/concord
	$(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/concord ./cmd/concord

.PHONY: demo
demo: build ## two sites, two agents, a writing load with conflicts; FOR=20s ends by itself; DB=mariadb, mysql or mixed
	@scripts/install-servers.sh $(or $(DB),postgres)
	bin/concord demo $(if $(FOR),--for $(FOR)) $(if $(DB),--db $(DB))

.PHONY: test
test: servers format vet ## everything the project checks before a change goes in
	$(GO) test -timeout 20m ./...
	$(MAKE) --no-print-directory race

.PHONY: race
race: ## the pure and the concurrent packages under the race detector
	@scripts/install-compiler.sh
	CGO_ENABLED=1 $(GO) test -race -short -timeout 10m $$($(GO) list -e -f '{{.Dir}}' $(RACE))

.PHONY: conformance
conformance: servers ## the engine conformance suite in full, with the 1 GB transaction; prints the table of types
	CONCORD_CONFORMANCE=full $(GO) test -count=1 -v -timeout 60m -run Conformance ./internal/engine/...

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: format
format:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

.PHONY: servers
servers: ## install the database servers the tests and the demo use, when missing
	@scripts/install-servers.sh

.PHONY: lint
lint: $(GOLANGCI) ## run golangci-lint (built into .cache/bin the first time)
	$(GOLANGCI) run

$(GOLANGCI):
	GOBIN=$(CURDIR)/.cache/bin GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: bench
bench: build ## the benchmarks, beside the databases' own replication
	@scripts/install-servers.sh bench
	$(GO) run ./cmd/bench
	$(GO) run ./cmd/bench/mysql -product mariadb
	$(GO) run ./cmd/bench/mysql -product mysql

.PHONY: simulate
simulate: ## SEEDS=100000 random histories of 2, 3 and 5 sites in memory
	$(GO) run ./internal/simulation/cmd/simulate -seeds $(SEEDS)

.PHONY: explore
explore: ## WORLDS=100 of the small worlds, everything that can happen in each
	$(GO) run ./internal/simulation/cmd/explore -count $(WORLDS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s) each
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built and what runs left behind; keeps .cache
	rm -rf bin .demo data bench.out
