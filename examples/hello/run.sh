#!/bin/sh
# Takes the hello application the whole way through a running server: into the
# inventory, into a package, onto the machine, and off it again.
#
#     examples/hello/run.sh [http://127.0.0.1:7577 [told]]
#
# `told`: the server runs with server.toml and tells of each event.
set -eu
cd "$(dirname "$0")"
# A fresh rustup is often not on PATH yet.
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
cargo build --bins
exec cargo run --quiet --bin tour -- "$@"
