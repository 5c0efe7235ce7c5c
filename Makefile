# What a developer does here. Needs Rust, Node and Python; local/install brings the rest into .local/.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help dev dev-reset test check bench openapi fmt stop advisories \
  check-format check-direction check-dependencies check-unused check-lints check-docs

# cargo finds what local/install has built, and puts its own work where it is told to.
export PATH := $(or $(LOCAL_DIR),$(CURDIR)/.local)/bin:$(PATH)
target := $(or $(CARGO_TARGET_DIR),target)
# Before a command: says afterwards how long it took.
timed = @TIMEFORMAT='-- $@: %0R s'; time

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target says; do \
	  printf '  make %-18s %s\n' "$$target" "$$says"; done

dev: ## the whole product on http://localhost:3000 (PORT changes it), until Ctrl-C
	@local/install
	@echo 'building the product (the first time takes some minutes) …'
	@cargo build -p local
	@exec $(target)/debug/local

dev-reset: ## forgets what `make dev` has stored
	@cargo run -q -p local-stack -- forget

# nextest leaves examples in the documentation out; of those, only a failure is worth a word.
test: ## all tests, on servers of their own
	@local/install
	@status=0; \
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace || status=$$?; \
	  examples=$$(cargo test --quiet --workspace --doc 2>&1) || { status=$$?; echo "$$examples"; }; \
	else \
	  cargo test --workspace --no-fail-fast || status=$$?; \
	fi; \
	$(MAKE) --no-print-directory stop || status=$$?; \
	exit $$status

stop: ## ends the servers that tests leave running for the next ones
	@cargo run -q -p local-stack -- stop-test-servers

check: check-format check-direction check-dependencies check-unused check-lints check-docs ## all that is checked without running the product

check-format: ## the code looks as cargo fmt leaves it
	$(timed) cargo fmt --all --check

check-direction: ## crates depend on each other in one direction
	$(timed) local/check-direction

check-dependencies: ## licences, sources and forbidden crates (deny.toml)
	@local/install cargo-deny
	$(timed) cargo deny check --hide-inclusion-graph bans licenses sources

check-unused: ## no crate asks for another that it does not use
	@local/install cargo-machete
	$(timed) cargo machete --skip-target-dir functions shared local bench

check-lints: ## clippy
	$(timed) cargo clippy --workspace --all-targets -- -D warnings

check-docs: ## the documentation has no dead links
	$(timed) env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

advisories: ## known vulnerabilities of dependencies (needs the network)
	@local/install cargo-deny
	@cargo deny check advisories

bench: ## measures, and prints what came out
	@local/install
	@cargo run --release -p bench

openapi: ## writes docs/openapi.json and docs/errors.md anew, from the code
	@cargo build -q -p local --bin openapi
	@$(target)/debug/openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json
	@$(target)/debug/openapi --errors > docs/errors.md.new && mv docs/errors.md.new docs/errors.md

fmt: ## formats the code
	@cargo fmt --all
