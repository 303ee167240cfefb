# moss: everything here works from a fresh clone on a Debian machine with Go. `make run` and `make test` are the two
# commands of the README; `make help` lists the rest.

VERSION  ?= 0.1.0
GO       ?= go
PKG      := github.com/moss-sandbox/moss
PREFIX   ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)

# Reproducible: no cgo, no paths, no build id, no commit; equal sources and Go release give equal bytes.
export CGO_ENABLED := 0
GOFLAGS_BUILD = -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION)'
# The hot program's heap starts where internal/prefault expects it, not at random.
HOT_ENV = GOEXPERIMENT=norandomizedheapbase64
# Tests use cgo for nothing either, and the scenario tests a moss that was built once.
TEST_ENV = MOSS_TEST_BINARY='$(CURDIR)/moss'

# FORCE: go itself knows best what has to be built again.
.PHONY: FORCE build run test test-confine test-setup test-host test-faults fuzz bench lint fmt check install clean help
build: moss ## build ./moss, one static binary

moss: FORCE
	@mkdir -p bin
	$(HOT_ENV) $(GO) build $(GOFLAGS_BUILD) -tags hot -o bin/hot .
	$(GO) build $(GOFLAGS_BUILD) -o bin/heavy .
	$(GO) run ./internal/pack bin/hot bin/heavy moss

run: build ## the main job, no registry needed: a sandbox of this machine in which a new package is installed and used
	./tests/harness/first-light ./moss

test: build test-setup ## all tests but the long ones; as root it installs what they need, as a user it runs this account's part
	@# The scenarios, which take longest, first; the packages beside them: much of it waits. vet is check's matter.
	$(TEST_ENV) $(GO) run ./tests/harness/report $(GO) test -json -vet=off -count=1 -timeout 40m -p 3 -- ./tests $$($(GO) list ./... | grep -v '^$(PKG)/tests$$\|^$(PKG)/tests/confine')

test-confine: build test-setup ## what a container may and may not do, and attacks on exec, each with its control (root)
	$(TEST_ENV) $(GO) test -count=1 -timeout 30m ./tests/confine

test-setup:
	$(GO) run ./tests/harness/setup

test-host: build test-setup ## a first suite in virtual machines: Debian 12 and 13 with systemd and plain accounts (root)
	$(TEST_ENV) $(GO) test -count=1 -timeout 30m -tags host ./tests/host

SEED    ?= 1
SAMPLE  ?= 40
test-faults: build test-setup ## kill and crash-point tests; SAMPLE crash points per command chosen by SEED, SAMPLE=0 visits all
	$(TEST_ENV) MOSS_FAULT_SEED=$(SEED) MOSS_FAULT_SAMPLE=$(SAMPLE) $(GO) test -count=1 -timeout 30m -tags faults ./tests/faults

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME (a time, or a number of runs: 2000x), or COUNT of them from the SEED-th on
	./tests/harness/fuzz $(FUZZTIME) '$(COUNT)' $(SEED)

bench: build test-setup ## side by side with bubblewrap, crun, Podman and nsenter; writes docs/measured.md (root)
	$(TEST_ENV) $(GO) test -count=1 -timeout 60m -tags bench -v ./tests/bench

GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
lint: ## the named linters of .golangci.yml (the first time golangci-lint is compiled: 10 minutes)
	$(GO) run $(GOLANGCI) run ./...

fmt: ## gofmt all
	gofmt -w $$(git ls-files '*.go')

check: ## what needs no privileges and is quick: format, vet, the repository's rules
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags 'hot host faults bench' ./...
	$(GO) test ./tests/rules

install: build ## copy moss to PREFIX/bin (root: /usr/local, else ~/.local)
	install -D -m 755 moss '$(DESTDIR)$(PREFIX)/bin/moss'

clean: ## remove what make built (never containers or images)
	rm -rf moss bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
