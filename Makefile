# Everything that is done with this repository, each by one command.
# `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run test attacks conformance fuzz test-openclaw test-sdk lint bench bench-compare bench-models memory abuse soak soak-reload release

# rustup's installer leaves cargo here without touching the running shell.
export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' Makefile

run: ## Build and run the demo (ARGS="--listen 127.0.0.1:9443")
	@.ci/setup build
	cargo run --locked -- demo $(ARGS)

test: ## Run all tests
	@.ci/setup build test
	@.ci/test $(ARGS)

attacks: ## The attack corpus against Portcullis, nginx, Caddy and HAProxy: the README's table
	@.ci/setup build test attacks
	cargo test --locked --test attacks -- --ignored --nocapture the_table_is_written

test-openclaw: ## Run the real OpenClaw gateway behind Portcullis (about 5 min)
	@.ci/setup build openclaw
	cargo build --locked
	tests/openclaw/install
	cargo test --locked --test secret_oracle -- --nocapture
	tests/openclaw/run $(ARGS)

test-sdk: ## The official SDKs through the back door, and a login in a browser (about 2 min)
	@.ci/setup build sdk
	cargo build --locked
	tests/sdk/run $(ARGS)

conformance: ## HTTP/2 and HTTP/1 by the RFCs, row by row; prints where and why it departs
	@.ci/setup build
	cargo test --locked --test conformance -- --nocapture --test-threads 1

fuzz: ## Fuzz what reads untrusted bytes, 60 s a target (ARGS="600 config networks")
	@.ci/setup build fuzz
	tests/fuzz/run $(ARGS)

lint: ## Check formatting, lints, documentation and dependencies
	@.ci/setup build fuzz
	cargo fmt --check
	cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --test secret_oracle -- -D warnings
	RUSTC_WRAPPER=$$PWD/tests/fuzz/instrument cargo clippy --locked --all-targets \
	  --manifest-path tests/fuzz/Cargo.toml --target-dir $${CARGO_TARGET_DIR:-target} -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	.ci/deny

bench: ## Measure the policy: time and allocations per decision
	@.ci/setup build
	cargo bench --locked $(ARGS)

bench-compare: ## CPU time per request beside nginx (ARGS="tls" or "h2")
	@.ci/setup build bench
	cargo build --locked --profile bench-quick
	benches/compare/run $(ARGS)

bench-models: ## What the back door adds to a model call, beside direct calls
	@.ci/setup build bench
	cargo build --locked --profile bench-quick
	benches/models/run $(ARGS)

memory: ## Memory of an idle WebSocket, plain and over TLS
	@.ci/setup build bench
	cargo build --locked --profile bench-quick
	benches/memory/run memory $(ARGS)

abuse: ## What another client and the memory come to under abuse (about 8 min; ARGS="rapid-reset idle …")
	@.ci/setup build bench
	cargo build --locked --profile bench-quick
	benches/abuse/run $(ARGS)

soak: ## 1,000 WebSockets idle for 150 s, and a silent event stream
	@.ci/setup build bench
	cargo build --locked --profile bench-quick
	benches/memory/run soak $(ARGS)

soak-reload: ## 100 rotations of token and certificate under 30 s of load
	@.ci/setup build test
	PORTCULLIS_LOAD_SECONDS=30 cargo test --locked --test e2e rotation:: -- --nocapture

release: ## Build the release binary (target/release/portcullis)
	@.ci/setup build
	PORTCULLIS_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) cargo build --locked --release
