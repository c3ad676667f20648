#!/usr/bin/env bash
# How much longer a crate takes to compile because its functions are annotated with `#[cached]`: builds a program of N async
# functions with and without the annotation, debug, in turn, dependencies built beforehand, and prints the difference of the
# medians for each function, by the clock and in processor time. The clock counts on an idle machine only.
#
#   scripts/macro_compile_time.sh [--functions 100] [--runs 5] [--limit MS]
#
# Measured for two programs: in `shared`, all functions return the same type; in `own`, each returns a type of its own. In both
# a third of the functions borrows an argument, a third returns `Option`, and each is called once. The types have the same
# derives with and without the annotation. To store a type at all, code that writes and reads it must be compiled: for
# comparison, `own` is also built with a call of serde_json::to_vec and from_slice for each type (`by_hand`). With --limit the
# script fails if `shared` adds more milliseconds of the clock than that to each function.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

functions=100 runs=5 limit=
while [ $# -gt 0 ]; do
    case $1 in
        --functions) functions=$2 ;;
        --runs) runs=$2 ;;
        --limit) limit=$2 ;;
        *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift 2
done

root=$PWD
work=${CARGO_TARGET_DIR:-$root/target}/macro_compile_time
export CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
unset RUSTFLAGS CARGO_PROFILE_DEV_DEBUG

# A program of the functions; $1: own or shared, $2: plain, annotated or by_hand.
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
        [ "$2" != annotated ] || echo "#[cache_aside::cached(key = \"row$n:{id}:{name}\", ttl = \"5m\")]"
        case $((n % 3)) in
            0) echo "pub async fn find$n(id: u64, name: String) -> Result<$type, DbError> { tokio::task::yield_now().await; Ok($type { id, name }) }" ;;
            1) echo "pub async fn find$n(id: u64, name: &str) -> Result<$type, DbError> { tokio::task::yield_now().await; Ok($type { id, name: name.to_owned() }) }" ;;
            2) echo "pub async fn find$n(id: u64, name: String) -> Result<Option<$type>, DbError> { tokio::task::yield_now().await; Ok(Some($type { id, name })) }" ;;
        esac
    done
    [ "$2" != by_hand ] || for ((n = 0; n < functions; n++)); do
        echo "pub fn copy$n(row: &Row$n) -> Option<Row$n> { serde_json::from_slice(&serde_json::to_vec(row).ok()?).ok() }"
    done
    echo '#[tokio::main(flavor = "current_thread")]'
    echo 'async fn main() {'
    for ((n = 0; n < functions; n++)); do
        if [ $((n % 3)) = 1 ]; then name='"x"'; else name='"x".to_owned()'; fi
        echo "    Box::pin(async { println!(\"{:?}\", find$n($n, $name).await) }).await;"
        [ "$2" != by_hand ] || echo "    if let Ok(Some(row)) = serde_json::from_slice::<Option<Row$n>>(b\"null\") { copy$n(&row); }"
    done
    echo '}'
}

variants() { if [ "$1" = own ]; then echo plain annotated by_hand; else echo plain annotated; fi; }

for kind in shared own; do
    mkdir -p "$work/$kind/src/bin"
    for variant in $(variants "$kind"); do program "$kind" "$variant" > "$work/$kind/src/bin/${kind}_$variant.rs"; done
    cat > "$work/$kind/Cargo.toml" <<TOML
[package]
name = "$kind"
version = "0.0.0"
edition = "2024"

[dependencies]
cache-aside = { path = "$root" }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt"] }
TOML
done
printf '[workspace]\nmembers = ["own", "shared"]\nresolver = "3"\n' > "$work/Cargo.toml"
cp Cargo.lock "$work/Cargo.lock"

cd "$work"
cargo build --quiet

# The milliseconds that one build takes, by the clock and in processor time, the linking of the program included.
build() {
    touch "$1/src/bin/$1_$2.rs"
    local TIMEFORMAT='%R %U %S'
    { time cargo build --quiet --offline --package "$1" --bin "$1_$2" 1>&2; } 2>&1 |
        tail -n 1 | awk '{ printf "%d %d\n", $1 * 1000, ($2 + $3) * 1000 }'
}

# The median of a column of a file.
median() {
    awk -v column="$2" '{ print $column }' "$1" | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2) }'
}

over=
for kind in shared own; do
    rm -f "$kind/"*.ms
    for ((run = 0; run < runs; run++)); do
        for variant in $(variants "$kind"); do build "$kind" "$variant" >> "$kind/$variant.ms"; done
    done
    plain=$(median "$kind/plain.ms" 1) plain_cpu=$(median "$kind/plain.ms" 2)
    echo "$kind: $functions functions, $runs runs: plain $plain ms ($plain_cpu ms of processor time)"
    for variant in $(variants "$kind" | sed 's/^plain//'); do
        took=$(median "$kind/$variant.ms" 1) cpu=$(median "$kind/$variant.ms" 2)
        added=$(((took - plain) / functions)) added_cpu=$(((cpu - plain_cpu) / functions))
        echo "$kind: $variant $took ms ($cpu ms): $added ms ($added_cpu ms) added by each"
        if [ -n "$limit" ] && [ "$kind $variant" = "shared annotated" ] && [ "$added" -gt "$limit" ]; then over=1; fi
    done
done
[ -z "$over" ] || { echo "over the limit of $limit ms"; exit 1; }
