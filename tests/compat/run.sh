#!/usr/bin/env bash
# Runs the original's own Java client, as the Skipper shell and Data Flow use it,
# against the server of this work tree. Ends with `N passed, N failed`.
#
#   tests/compat/run.sh
#
# Takes a JDK of 17 or later and Maven; as root on Debian it installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

readonly made=target/compat

main() {
    need javac default-jdk-headless
    need mvn maven
    cargo build --quiet --locked --workspace --bin chandlery
    local server
    server=$(cargo build --quiet --locked --workspace --bin chandlery --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\/chandlery\)".*/\1/p')
    mvn --quiet --batch-mode --file tests/compat/pom.xml compile
    applications
    java -cp "$made/classes:$(cat "$made/classpath")" compat.Compat "$server" "$made/applications"
}

# The same application twice: what differs is the version that it is told.
applications() {
    mkdir -p "$made/application" "$made/applications"
    javac -d "$made/application" tests/compat/app/App.java
    for version in 1.0.0 2.0.0; do
        jar --create --file "$made/applications/app-$version.jar" --main-class App -C "$made/application" .
    done
}

need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$1 is missing: install $2" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"
}

main
