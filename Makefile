# Commands for developers. Needs Rust, Node and Python; local/install brings the rest into .local/.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help dev dev-reset sweep test check bench bench-cold openapi fmt stop advisories \
  check-format check-direction check-dependencies check-unused check-lints check-docs check-templates \
  build deploy destroy

# cargo finds the programs of local/install, and uses its configured target directory.
export PATH := $(or $(LOCAL_DIR),$(CURDIR)/.local)/bin:$(PATH)
target := $(or $(CARGO_TARGET_DIR),target)
# In front of a command: prints its duration afterwards.
timed = @TIMEFORMAT='-- $@: %0R s'; time

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target says; do \
	  printf '  make %-18s %s\n' "$$target" "$$says"; done

dev: ## the whole product on http://localhost:3000 (PORT changes it), until Ctrl-C
	@local/install
	@echo 'building the product (the first time takes some minutes) …'
	@cargo build -p local
	@exec $(target)/debug/local

dev-reset: ## deletes the data of `make dev`
	@cargo run -q -p local-stack -- forget

# curl's exit status 7: nothing listens.
sweep: ## runs the sweep of a running `make dev` now, not within the minute (PORT as there)
	@curl --silent --show-error --fail-with-body --max-time 60 --request POST \
	  http://localhost:$(or $(PORT),3000)/local/sweep || { status=$$?; \
	  [ $$status != 7 ] || echo 'nothing listens on port $(or $(PORT),3000): run `make dev` first, or say PORT=…'; exit $$status; }
	@echo

# nextest omits documentation examples; their output is shown only on failure.
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

check: check-format check-direction check-dependencies check-unused check-lints check-docs check-templates ## all checks that do not run the product

check-format: ## the code looks as cargo fmt leaves it
	$(timed) cargo fmt --all --check

check-direction: ## crates depend on each other in one direction
	$(timed) local/check-direction

check-dependencies: ## licences, sources and forbidden crates (deny.toml)
	@local/install cargo-deny
	$(timed) cargo deny check --hide-inclusion-graph bans licenses sources

check-unused: ## no unused dependencies
	@local/install cargo-machete
	$(timed) cargo machete --skip-target-dir functions shared local bench

check-lints: ## clippy
	$(timed) cargo clippy --workspace --all-targets -- -D warnings

check-docs: ## the documentation has no dead links
	$(timed) env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

check-templates: ## the templates: linters, and rules of this product
	@local/install sam checkov
	$(timed) infra/check

advisories: ## known vulnerabilities of dependencies (needs the network)
	@local/install cargo-deny
	@cargo deny check advisories

bench: ## measures the product and prints a report (PEERS=bun compares it with a monolith on Bun and Hono)
	@local/install postgres valkey $(PEERS)
	@cargo run --release -p bench -- $(PEERS:%=--peer=%)

bench-cold: ## measures how fast functions start, against a hello-world
	@cargo run --release -p bench -- cold

openapi: ## regenerates docs/openapi.json and docs/errors.md from the code
	@cargo build -q -p local --bin openapi
	@$(target)/debug/openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json
	@$(target)/debug/openapi --errors > docs/errors.md.new && mv docs/errors.md.new docs/errors.md

fmt: ## formats the code
	@cargo fmt --all

# The processor architecture of the functions: that of the last deploy, or AWS's own processors, which cost
# less.
ARCH ?= $(or $(shell sed -nE 's/.*Architecture=[\\"]*(arm64|x86_64).*/\1/p' samconfig.local.toml 2>/dev/null),arm64)
rust_target = $(subst arm64,aarch64,$(ARCH))-unknown-linux-gnu
export SAM_CLI_TELEMETRY := 0

build: ## builds the functions for AWS, into .aws-sam (ARCH=x86_64 for Intel)
	@local/install sam cargo-lambda
	@test -d "$$(rustc --print target-libdir --target $(rust_target) 2>/dev/null)" || { \
	  echo 'Rust cannot build for $(ARCH) here. Run: rustup target add $(rust_target)'; \
	  echo '(without rustup, install rust-std for $(rust_target); or deploy for this machine: ARCH=x86_64)'; exit 1; }
	@# One function after the other, sharing compiled dependencies. One build of all would unify their features,
	@# and sam would then build most of it again.
	@sam build --parameter-overrides Architecture=$(ARCH)

deploy: build ## deploys to the AWS account that you are logged in to (SET="Size=medium" changes parameters)
	@infra/deploy $(SET)

destroy: ## deletes the deployment, after listing what stays and asking
	@local/install sam
	@"$$(dirname "$$(readlink -f "$(or $(LOCAL_DIR),$(CURDIR)/.local)/bin/sam")")/python" infra/destroy
