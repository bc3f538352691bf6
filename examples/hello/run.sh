#!/bin/sh
# Takes the hello application the whole way through a running server: into the
# inventory, into a package, onto the machine, and off it again.
#
#     examples/hello/run.sh [http://127.0.0.1:7577]
set -eu
cd "$(dirname "$0")"
cargo build --quiet --bins
exec cargo run --quiet --bin tour -- "${1:-http://127.0.0.1:7577}"
