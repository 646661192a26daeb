#!/usr/bin/env bash
# run.sh PROGRAM SEEDS SECONDS [DICTIONARY]: let a libFuzzer program run for a time, from SEEDS and into a
# corpus of its own that ends with it. What it finds stays in the directory of the program.
set -eu
program=$1 seeds=$2 seconds=$3 dictionary=${4:+-dict=$4}
corpus=$(mktemp -d)
# Of a target that has a store, the disk would be all that is measured.
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
export TMPDIR
trap 'rm -rf "$corpus" "$TMPDIR"' EXIT
"$program" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    $dictionary -artifact_prefix="$program-" "$corpus" "$seeds"
