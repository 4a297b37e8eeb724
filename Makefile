# `make demo` builds and runs everything with a simulated Stripe, `make build` builds the program, `make test` runs every
# test, `make bench` measures. All use the release profile, so that DuckDB's C++ is built once.
CARGO ?= cargo
# A compiler cache, where there is one, saves DuckDB's half hour when a dependency of its build changes.
ifneq ($(wildcard /usr/lib/ccache),)
export PATH := /usr/lib/ccache:$(PATH)
endif

# What the lints need beside Rust's own, built once. Advisories need a database from the network: `cargo deny check advisories`.
built := $(abspath $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target))
tools := $(built)/tools
DENY := 0.20.2

# The Python that the tests compare the warehouse's file with, and ask the simulator with; tools/setup.sh makes
# this one. Another one must have what is asked with.
export TALLYHOUSE_TEST_PYTHON ?= $(built)/python/bin/python

.PHONY: demo build test schedules lint bench setup ui catalog

demo: build
	@"$${CARGO_TARGET_DIR:-target}/release/tallyhouse" demo

build: setup ui
	$(CARGO) build --release --workspace

setup:
	@tools/setup.sh

# The pages' scripts and styles, embedded in the program.
ui: ui/dist/stamp

ui/dist/stamp: ui/package-lock.json $(wildcard ui/src/* ui/*.mjs ui/*.json) | setup
	cd ui && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build && touch dist/stamp

# One selection of crates for all: another one can change what DuckDB's build script is built with.
test: setup ui
	@tools/setup.sh tests $(built)/python
	$(CARGO) test --release --workspace

# The long run of what `make test` plays 150 of: SCHEDULES=n plays so many, SCHEDULES_SEED=n one, telling all that happens.
schedules: export SCHEDULES ?= 10000
schedules:
	$(CARGO) test --release --workspace --test schedules -- whatever_happens

lint: setup ui
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	@tools/check_traps.py
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --document-private-items --quiet
	@PATH="$$PATH:$(tools)/bin"; command -v cargo-deny >/dev/null || $(CARGO) install --quiet --locked --root $(tools) --target-dir $(tools)/build cargo-deny --version $(DENY)
	PATH="$$PATH:$(tools)/bin" $(CARGO) deny --log-level error check licenses bans sources

# Some parts only: PARTS="charges limits"; they are told at the head of tools/bench.py.
bench: build
	$(CARGO) build --quiet --release --workspace --examples
	@tools/bench.py $(PARTS)

# The catalogue and the simulator's shapes, both derived from Stripe's SDK for Python, which comes from the network: another version
# of Stripe's API is `make catalog SDK=...`, and a diff to read.
SDK ?= 16.1.0
sdk := $(built)/sdk-$(SDK)
catalog:
	rm -rf $(sdk)
	python3 -m pip download --quiet --no-deps --only-binary :all: --dest $(sdk) stripe==$(SDK)
	cd $(sdk) && python3 -m zipfile -e stripe-*.whl .
	crates/catalog/tools/generate.py $(sdk)/stripe
	crates/stripe-sim/tools/shapes.py $(sdk)/stripe
