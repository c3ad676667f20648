#!/usr/bin/env bash
# Runs every check and every test of the workspace. From a bare Debian machine with Rust (cargo, rustfmt, clippy) it
# installs what else it needs: redis-server through apt-get, cargo-nextest and cargo-deny through cargo. The servers that the
# tests use are started by the tests, on free ports; a service that Debian starts is not touched.
#
# CI=1 builds with less debug information, and refuses to package uncommitted changes. Everything is built in one profile
# into one target directory, and what explores interleavings into a folder of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
[ -z "${CI:-}" ] || export CARGO_PROFILE_DEV_DEBUG="${CARGO_PROFILE_DEV_DEBUG:-line-tables-only}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
export NEXTEST_HIDE_PROGRESS_BAR=1
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
# The tests and the examples choose their own servers.
unset CACHE_REDIS_URL CACHE_NAMESPACE CACHE_DEFAULT_TTL_SECONDS
unset REDIS_HOST REDIS_PORT REDIS_DB REDIS_USERNAME REDIS_PASSWORD

# Examples that end by themselves and start the servers that they need. Every other one must stand in the second list, with the reason.
examples_to_run="custom_tier keyspace quickstart stampede two_nodes user_profiles"
# product_api serves until it is stopped; model explores what the tests do, and with --large for hours; cached_hit and hot_path measure.
examples_to_build="cached_hit hot_path model product_api"

logs=$(mktemp -d)
step=""
steps=()

# What the tests themselves say, so that it stands among the last lines.
totals() {
    [ ! -s "$logs/doctests" ] || awk '/^test result:/ { passed += $4; failed += $6 }
        END { print "documentation tests: " passed " passed, " failed " failed" }' "$logs/doctests"
    [ ! -s "$logs/interleavings" ] || grep -E '^ *Summary' "$logs/interleavings" || echo "interleavings: none were run"
    [ ! -s "$logs/tests" ] || grep -E '^ *Summary' "$logs/tests" || echo "tests: none were run"
}

finish() {
    local code=$?
    [ "$code" = 0 ] || steps+=("FAILED  ${step:-start}")
    printf '\n==== summary, %s s in all\n' "$SECONDS"
    [ "${#steps[@]}" = 0 ] || printf '%s\n' "${steps[@]}"
    totals
    rm -rf "$logs"
    if [ "$code" = 0 ]; then echo "==== all green"; else echo "==== FAILED in: ${step:-start}"; fi
}

trap finish EXIT
# Without these it would end by a signal, and as if the last step had been the last of all.
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs one step. It is not run in a condition, because there `set -e` would not hold within it; a step that fails ends the
# script, and the trap says which one it was.
run() {
    step=$1
    shift
    local started=$SECONDS
    printf '\n==== %s\n' "$step"
    "$@"
    local line
    line=$(printf '%5s s  %s' "$((SECONDS - started))" "$step")
    echo "---- done: $line"
    steps+=("$line")
}

skip() {
    local line="SKIPPED  $1: $2"
    printf '\n!!!! %s\n' "$line" >&2
    steps+=("$line")
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    local missing=()
    have redis-server || missing+=(redis-server)
    have redis-cli || missing+=(redis-tools)
    have redis-sentinel || missing+=(redis-sentinel)
    have cc || missing+=(gcc libc6-dev)
    if [ "${#missing[@]}" != 0 ]; then
        if ! have apt-get; then
            echo "error: ${missing[*]} not found, and there is no apt-get to install them; install them by hand" >&2
            return 1
        fi
        as_root apt-get update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    fi
    redis-server --version
}

# A tool is built in a directory of its own, which cargo removes afterwards.
install_tool() {
    env -u CARGO_TARGET_DIR cargo install "$1" --locked
}

install_nextest() {
    have cargo-nextest || install_tool cargo-nextest
    cargo nextest --version
}

# The workspaces beside this one have lock files of their own, which a change of a dependency here leaves behind. This downloads
# nothing that they depend on.
locked() {
    local manifest
    cargo fetch --locked
    for manifest in benches/*/Cargo.toml fuzz/Cargo.toml; do
        echo "$manifest"
        cargo update --workspace --locked --quiet --manifest-path "$manifest"
    done
}

install_deny() {
    have cargo-deny || install_tool cargo-deny || true
}

clippy() {
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --workspace --all-targets --all-features -- -D warnings
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
}

packages() {
    cargo run --quiet --package cache-testing --bin packages -- "$1"
}

# Each published package without features, then with each one alone. Clippy rather than check: the same, and a warning in a
# configuration that nobody builds by default is an error.
features() {
    local package feature
    packages features >"$logs/features"
    while read -r package feature; do
        echo "$package ${feature:-(no features)}"
        cargo clippy --quiet --package "$package" --no-default-features ${feature:+--features "$feature"} -- -D warnings
    done <"$logs/features"
}

# The fuzz targets, which take sources of the crates by path. They are checked and not linked, so any path stands for libFuzzer's
# library, and neither a nightly compiler nor one of C++ is needed.
fuzz_targets() {
    CUSTOM_LIBFUZZER_PATH=/nowhere/libfuzzer.a cargo check --locked --manifest-path fuzz/Cargo.toml
}

policy() {
    cargo deny --workspace check bans licenses sources
}

advisories() {
    cargo deny --workspace check --disable-fetch advisories
}

# cargo takes a package for one of a registry, whose versions never change: what it unpacked and built of an earlier state of
# the same version it would use again.
forget_packages() {
    local built hash
    rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/cache-{aside,core,local,macros,redis}-[0-9]*
    for built in "$CARGO_TARGET_DIR"/debug/deps/*cache_*.d; do
        if [ -f "$built" ] && grep -qs '/registry/src/-' "$built"; then
            hash=${built%.d}
            rm -rf "$CARGO_TARGET_DIR"/debug/.fingerprint/cache-*-"${hash##*-}"
        fi
    done
}

package() {
    # Every crate is built from its packaged files alone. `cargo package` uploads nothing.
    local dirty=--allow-dirty
    [ -z "${CI:-}" ] || dirty=""
    packages included
    forget_packages
    cargo package --workspace --exclude cache-testing ${dirty:+"$dirty"}
}

doctests() {
    cargo test --doc --workspace --all-features 2>&1 | tee "$logs/doctests"
}

tests() {
    cargo nextest run --workspace --all-features 2>&1 | tee "$logs/tests"
    # What only a build without the feature says.
    cargo nextest run --package cache-redis --no-default-features --lib url
}

# Flags of the compiler reach every crate, so what they build lies beside the rest. With the optimiser it explores in a tenth of
# the time.
interleavings() {
    local flags="--cfg cache_aside_shuttle -D warnings" target="$CARGO_TARGET_DIR/shuttle"
    CARGO_PROFILE_DEV_OPT_LEVEL=1 RUSTFLAGS="$flags" cargo nextest run --package cache-core --package cache-local --lib --target-dir "$target" interleavings 2>&1 |
        tee "$logs/interleavings"
}

listed() {
    local name
    for name in $2; do
        [ "$name" != "$1" ] || return 0
    done
    return 1
}

examples() {
    local example
    cargo build --workspace --all-features --examples
    packages examples >"$logs/examples"
    while read -r example; do
        if listed "$example" "$examples_to_run"; then
            echo "-- $example"
            timeout 120 "$CARGO_TARGET_DIR/debug/examples/$example" </dev/null
        elif ! listed "$example" "$examples_to_build"; then
            echo "error: scripts/test.sh lists the example $example neither to run nor to build only; add it to a list" >&2
            return 1
        fi
    done <"$logs/examples"
}

run "packages of the system" install_packages
run "cargo-nextest" install_nextest
run "cargo-deny" install_deny
run "dependencies as locked" locked
run "formatting" cargo fmt --all --check
run "clippy, default and all features" clippy
run "each feature alone" features
run "fuzz targets" fuzz_targets
run "documentation" documentation
run "rust versions of dependencies" packages rust-versions
if have cargo-deny; then
    run "bans, licences and sources" policy
    if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
        run "advisories" advisories
    else
        skip "advisories" "the advisory database cannot be reached from here"
    fi
else
    skip "bans, licences and sources; advisories" "cargo-deny COULD NOT BE INSTALLED (see above)"
fi
run "packaging" package
run "documentation tests" doctests
run "examples" examples
run "interleavings of the real code" interleavings
run "tests" tests
