# kaname: make demo shows it, make test proves it. `make help` lists the rest.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory

GO     ?= go
CLANG  := clang-19
export CGO_ENABLED := 0

LINT     := $(GO) tool -modfile=tools/go.mod golangci-lint
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X github.com/kaname-lb/kaname/internal/cli.version=$(VERSION)

.PHONY: help build demo test test-go lint generate check-generated bench bench-watch fuzz fuzz-short deps-test deps-generate deps-kernel-lab root clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the static binary, bin/kaname
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/kaname ./cmd/kaname
	@echo "bin/kaname $$(du -h bin/kaname | cut -f1)"

demo: root build ## two directors, two real servers, a client: watch them fail over
	@bin/kaname lab demo

test: root deps-test ## everything CI runs: generated code, lint, all tests, short fuzzing
	@scripts/step "generated BPF objects match their source" $(MAKE) check-generated
	@scripts/step "lint" $(MAKE) lint
	@scripts/step "tests" $(MAKE) test-go
	@scripts/step "fuzzing, 5 s a target" $(MAKE) fuzz-short

test-go:
	@$(GO) test -count=1 -timeout 20m ./...

lint: ## gofmt, go vet, staticcheck and the import rules
	@test -z "$$(gofmt -l cmd internal bench test bpf 2>/dev/null)" || { echo "gofmt needed:"; gofmt -l cmd internal bench test; exit 1; }
	@$(GO) vet ./...
	@$(LINT) run --allow-parallel-runners ./...

generate: deps-generate ## rebuild the BPF objects
	@$(GO) generate ./internal/...

check-generated: deps-generate
	@scripts/check-generated

bench: root ## print ns per packet, requests per second, and what a big configuration costs; nothing is asserted
	@$(GO) run ./bench/packets
	@$(GO) run ./bench/requests
	@$(GO) run ./bench/config

bench-watch: root ## watch beside tshark on a million sessions; what synchronisation costs both directors
	@scripts/install "comparing with it" tshark
	@$(GO) run ./bench/watch
	@$(GO) run ./bench/sync

fuzz: ## every fuzz target for 60 s
	@scripts/fuzz 60s

fuzz-short:
	@scripts/fuzz 5s

deps-test: deps-generate deps-kernel-lab
	@scripts/install "interop, firewall and capture tests" keepalived nftables iproute2 procps

deps-kernel-lab:
	@test/kernellab/setup

deps-generate:
	@scripts/install "building the BPF programs" $(CLANG) llvm-19 libbpf-dev

root:
	@test "$$(id -u)" = 0 || { echo "make: this needs root: it makes network namespaces and loads BPF programs" >&2; exit 1; }

clean: ## remove what was built
	@rm -rf bin
