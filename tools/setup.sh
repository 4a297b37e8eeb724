#!/usr/bin/env bash
# Checks for what building needs, and with `browser` for what the tests need besides; installs what the distribution's package manager can, or says what to do.
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
if [ "${1:-}" = browser ]; then
  [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install chromium "Chromium, or say in CHROMIUM where it is"
fi
