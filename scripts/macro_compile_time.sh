#!/usr/bin/env bash
# How much longer a crate takes to compile because its functions are annotated with `#[cached]`: builds a program of N async
# functions with and without the annotation, debug, in turn, dependencies built beforehand, and prints the difference of the
# medians for each function.
#
#   scripts/macro_compile_time.sh [--functions 100] [--runs 5] [--limit MS]
#
# Measured for two programs: in `own`, each function returns a type of its own; in `shared`, all return the same one. In both
# a third of the functions borrows an argument, a third returns `Option`, and each is called once. With --limit the script fails
# if `own` adds more milliseconds than that to each function.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

functions=100 runs=5 limit=
while [ $# -gt 0 ]; do
    case $1 in
        --functions) functions=$2 ;;
        --runs) runs=$2 ;;
        --limit) limit=$2 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift 2
done

root=$PWD
work=${CARGO_TARGET_DIR:-$root/target}/macro_compile_time
export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
unset RUSTFLAGS CARGO_PROFILE_DEV_DEBUG

# A program of the functions; $1: own or shared, $2: the annotation or nothing.
program() {
    echo 'use serde::{Deserialize, Serialize};'
    echo '#[derive(Debug)] pub struct DbError;'
    echo '#[derive(Clone, Debug, Serialize, Deserialize)] pub struct Shared { id: u64, name: String }'
    for ((n = 0; n < functions; n++)); do
        local type=Shared
        if [ "$1" = own ]; then
            type=Row$n
            echo "#[derive(Clone, Debug, Serialize, Deserialize)] pub struct $type { id: u64, name: String }"
        fi
        [ -z "$2" ] || echo "#[cache_aside::cached(key = \"row$n:{id}:{name}\", ttl = \"5m\")]"
        case $((n % 3)) in
            0) echo "pub async fn find$n(id: u64, name: String) -> Result<$type, DbError> { tokio::task::yield_now().await; Ok($type { id, name }) }" ;;
            1) echo "pub async fn find$n(id: u64, name: &str) -> Result<$type, DbError> { tokio::task::yield_now().await; Ok($type { id, name: name.to_owned() }) }" ;;
            2) echo "pub async fn find$n(id: u64, name: String) -> Result<Option<$type>, DbError> { tokio::task::yield_now().await; Ok(Some($type { id, name })) }" ;;
        esac
    done
    echo '#[tokio::main(flavor = "current_thread")]'
    echo 'async fn main() {'
    for ((n = 0; n < functions; n++)); do
        if [ $((n % 3)) = 1 ]; then name='"x"'; else name='"x".to_owned()'; fi
        echo "    Box::pin(async { println!(\"{:?}\", find$n($n, $name).await) }).await;"
    done
    echo '}'
}

for kind in own shared; do
    mkdir -p "$work/$kind/src/bin"
    program "$kind" "" > "$work/$kind/src/bin/${kind}_plain.rs"
    program "$kind" annotated > "$work/$kind/src/bin/${kind}_annotated.rs"
    cat > "$work/$kind/Cargo.toml" <<TOML
[package]
name = "$kind"
version = "0.0.0"
edition = "2024"

[dependencies]
cache-aside = { path = "$root" }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
done
printf '[workspace]\nmembers = ["own", "shared"]\nresolver = "3"\n' > "$work/Cargo.toml"
cp Cargo.lock "$work/Cargo.lock"

cd "$work"
cargo build --quiet

# The milliseconds that one build takes, the linking of the program included.
build() {
    touch "$1/src/bin/$1_$2.rs"
    local began=$EPOCHREALTIME
    cargo build --quiet --offline --package "$1" --bin "$1_$2"
    local ended=$EPOCHREALTIME
    echo $(((${ended/./} - ${began/./}) / 1000))
}

median() {
    sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'
}

over=
for kind in own shared; do
    rm -f "$kind/"{plain,annotated}.ms
    for ((run = 0; run < runs; run++)); do
        for variant in plain annotated; do build "$kind" "$variant" >> "$kind/$variant.ms"; done
    done
    plain=$(median "$kind/plain.ms") annotated=$(median "$kind/annotated.ms")
    added=$(((annotated - plain) / functions))
    echo "$kind: $functions functions, $runs runs: plain $plain ms, annotated $annotated ms: $added ms added by each"
    [ -z "$limit" ] || [ "$kind" != own ] || [ "$added" -le "$limit" ] || over=1
done
[ -z "$over" ] || { echo "over the limit of $limit ms"; exit 1; }
