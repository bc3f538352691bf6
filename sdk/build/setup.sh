#!/usr/bin/env bash
# Finds what building Chandlery takes, and installs what is missing where it may:
# through apt as root on Debian, through rustup where the user has it. Anything else
# ends with a message that says exactly what to install.
#
#   sdk/build/setup.sh [test]      `test`: also what format and clippy take
#
# The order for a Rust that compiles plugins is that of `toolchain.rs` beside it, which
# build scripts use and which never installs anything. `CHANDLERY_WASM_TOOLCHAIN` set to
# `rustup` or `debian` leaves out the other; `RUSTUP_AUTO_INSTALL=0` forbids rustup to
# fetch.
set -euo pipefail

readonly wish=${1:-}
readonly target=wasm32-unknown-unknown
readonly minor_min=95

main() {
    case ${CHANDLERY_WASM_TOOLCHAIN:-} in
    '' | rustup | debian) ;;
    *) die "CHANDLERY_WASM_TOOLCHAIN is '$CHANDLERY_WASM_TOOLCHAIN': set it to 'rustup' or 'debian', or unset it" ;;
    esac
    linker_for_c
    rust
    if [ "$wish" = test ]; then
        component rustfmt fmt rustfmt-web
        component clippy clippy rust-web-clippy
    fi
    wasm
}

# Build scripts and the final link take a C compiler.
linker_for_c() {
    has cc || apt_or_die "a C compiler is missing" gcc libc6-dev
}

rust() {
    if ! has cargo || ! has rustc; then
        can_apt rustc-web || die "Rust is missing: install it from https://rustup.rs, or add ~/.cargo/bin to PATH if it is there"
        apt rustc-web cargo-web
    fi
    local version minor
    version=$(rustc --version) || die "rustc does not run: $(rustc --version 2>&1 | tail -1)"
    minor=${version#rustc 1.}
    minor=${minor%%.*}
    [ "$minor" -ge "$minor_min" ] || die "$version is too old, 1.$minor_min is needed: run 'rustup update stable', or install rustc-web and cargo-web and remove the older packages"
    say "$version, $(command -v cargo)"
}

# component NAME SUBCOMMAND PACKAGE
component() {
    cargo "$2" --version >/dev/null 2>&1 && return
    if may_rustup; then
        rustup component add "$1"
    else
        apt_or_die "cargo $2 is missing; with rustup it is 'rustup component add $1'" "$3"
    fi
}

wasm() {
    local asked=${CHANDLERY_WASM_TOOLCHAIN:-}
    if [ "$asked" != debian ] && installed_target; then
        say "plugins: the target $target of $(rustc --print sysroot)"
    elif [ "$asked" != rustup ] && debian; then
        say "plugins: Debian's $(/usr/bin/rustc --version), the standard library from source"
    elif [ "$asked" != rustup ] && can_apt rust-web-src; then
        apt rustc-web cargo-web rust-web-src rust-web-llvm
        [ -n "$(lld)" ] || apt "$(basename "$(readlink -m /usr/bin/rust-lld)")"
        debian || die "plugins cannot be compiled: Debian's packages are installed, but $(debian_missing) is still missing"
        say "plugins: Debian's $(/usr/bin/rustc --version), the standard library from source"
    elif [ "$asked" != debian ] && may_rustup; then
        rustup target add "$target"
        installed_target || die "plugins cannot be compiled: rustup added $target to another toolchain than $(rustc --print sysroot)"
        say "plugins: the target $target of $(rustc --print sysroot)"
    else
        die "plugins cannot be compiled, no Rust for $target is here. Do one of these:
  rustup target add $target
  apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-22     (as root, Debian 12)"
    fi
}

installed_target() {
    compgen -G "$(rustc --print sysroot)/lib/rustlib/$target/lib/libstd-*" >/dev/null
}

debian() { [ -z "$(debian_missing)" ]; }

debian_missing() {
    local version
    version=$(/usr/bin/rustc --version 2>/dev/null || true)
    version=${version#rustc 1.}
    [ "${version%%.*}" -ge "$minor_min" ] 2>/dev/null || { echo rustc-web; return; }
    [ -x /usr/bin/cargo ] || { echo cargo-web; return; }
    [ -f /usr/lib/rustlib/src/rust/library/std/Cargo.toml ] || { echo rust-web-src; return; }
    [ -n "$(lld)" ] || { echo "the linker lld"; return; }
}

# What rust-lld stands for, else the linker inside the Rust in use.
lld() {
    local it
    for it in /usr/bin/rust-lld "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld; do
        if [ -x "$it" ]; then
            echo "$it"
            return
        fi
    done
}

has() { command -v "$1" >/dev/null 2>&1; }

may_rustup() { has rustup && [ "${RUSTUP_AUTO_INSTALL:-1}" != 0 ]; }

# Whether apt may be used and knows a package.
can_apt() {
    [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ] && has apt-get || return 1
    refresh
    apt-cache show "$1" >/dev/null 2>&1
}

refreshed=
refresh() {
    [ -z "$refreshed" ] || return 0
    refreshed=yes
    apt-get update -qq >&2 || say "apt-get update failed; going on with what apt knows"
}

# apt PACKAGE...: never takes anything away to make room.
apt() {
    say "installing $* through apt"
    refresh
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "$@" >&2 ||
        die "apt-get could not install $*"
}

# apt_or_die SENTENCE PACKAGE...
apt_or_die() {
    local sentence=$1
    shift
    can_apt "$1" || die "$sentence: install $* (on Debian: apt-get install $*)"
    apt "$@"
}

say() { echo "setup: $*" >&2; }

die() {
    echo "setup: $*" >&2
    exit 1
}

main
