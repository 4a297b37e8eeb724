#!/usr/bin/env bash
# Checks for what building needs; installs what the distribution's package manager can, or says what to do.
set -euo pipefail
say() { printf 'setup: %s\n' "$1" >&2; }
command -v cargo >/dev/null || { say "install Rust 1.95 or newer (https://rustup.rs)"; exit 1; }
command -v npm >/dev/null || { say "install Node.js 20 or newer with npm"; exit 1; }
command -v c++ >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "installing g++"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ >/dev/null
else
  say "please install a C++ compiler (g++)"
  exit 1
fi
