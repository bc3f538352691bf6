# make serve, make test: each finds or installs what it takes first.

# A fresh rustup is often not on PATH yet.
rustup := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin
ifneq ($(wildcard $(rustup)/cargo),)
export PATH := $(rustup):$(PATH)
endif

listen ?= 127.0.0.1:7577
data ?= ./data
config ?=
url ?= http://127.0.0.1:7577

.PHONY: help serve test compat bench crash model example setup

help:
	@echo 'make serve     builds and starts the server on http://$(listen), data in $(data)'
	@echo 'make example   deploys examples/hello on a running server ($(url))'
	@echo 'make test      format, lints, documentation and all tests'
	@echo 'make compat    puts the Java client of the original to the server'
	@echo 'make crash     kills the server 200 times and looks for what was lost'
	@echo 'make model     does 2,000 chance sequences to releases and compares with the rules'
	@echo 'make bench     prints the figures that the design promises, as ratios'

serve:
	@sdk/build/setup.sh
	cargo build --release --locked --package chandlery
	@exec cargo run --release --locked --quiet --package chandlery -- serve --listen $(listen) --data $(data) $(if $(config),--config $(config))

# The checks of the source come before the tests: they are quick to fail. `doc` shares
# with clippy what it compiles.
test:
	@sdk/build/setup.sh test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	cargo test --workspace --locked

compat:
	@sdk/build/setup.sh
	tests/compat/run.sh

bench:
	@sdk/build/setup.sh
	cargo bench --locked --package chandlery-tests --bench plugins --bench http --bench inventory --bench releases

crash:
	@sdk/build/setup.sh
	CHANDLERY_KILLS=200 cargo test --locked --package chandlery-tests --test crash -- --nocapture

model:
	@sdk/build/setup.sh
	CHANDLERY_MODEL_CASES=2000 cargo test --locked --package chandlery-tests --test api release::model -- --nocapture

example:
	examples/hello/run.sh $(url)

setup:
	@sdk/build/setup.sh test
