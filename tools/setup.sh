#!/usr/bin/env bash
# Checks for what building needs, and with `tests` for what the tests need besides; installs what the distribution's package manager can, or says what to do.
set -euo pipefail
say() { printf 'setup: %s\n' "$1" >&2; }
command -v cargo >/dev/null || { say "install Rust 1.95 or newer (https://rustup.rs)"; exit 1; }
command -v npm >/dev/null || { say "install Node.js 20 or newer with npm"; exit 1; }
install() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $1"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
  else
    say "please install $2"
    exit 1
  fi
}
command -v c++ >/dev/null || install g++ "a C++ compiler (g++)"
if [ "${1:-}" = tests ]; then
  [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install chromium "Chromium, or say in CHROMIUM where it is"
  # A Python with DuckDB of its own, to see that it reads the warehouse's file, and Stripe's SDK, to see that it reads the
  # simulator. Only the one in our own folder (the second argument) is made or changed; one that somebody names is theirs.
  python="$TALLYHOUSE_TEST_PYTHON" own="${2:?the folder for a Python of our own}"
  has() { "$python" -c "$1" 2>/dev/null; }
  duckdb='import duckdb; assert duckdb.__version__.startswith("2.0")' stripe='import stripe; assert stripe.VERSION == "16.1.0"'
  if ! has "$duckdb" || ! has "$stripe"; then
    if [ "$python" != "$own/bin/python" ]; then
      say "please install 'duckdb==2.0.*' and 'stripe==16.1.0' for $python, or leave TALLYHOUSE_TEST_PYTHON unset"
      exit 1
    fi
    if ! has 'import pip'; then
      command -v python3 >/dev/null || install python3 "Python 3.10 or newer"
      python3 -m venv --clear "$own" 2>/dev/null >&2 || { install python3-venv "Python's venv (python3-venv)"; python3 -m venv --clear "$own"; }
    fi
    "$python" -m pip install --quiet --disable-pip-version-check "duckdb==2.0.*" "stripe==16.1.0"
  fi
  # Stripe's SDK for Node, for the same.
  sdks=crates/stripe-sim/tests/sdks
  [ "$sdks/node_modules/.package-lock.json" -nt "$sdks/package-lock.json" ] ||
    (cd "$sdks" && npm ci --no-audit --no-fund --loglevel=error >/dev/null && touch node_modules/.package-lock.json)
fi
