#!/usr/bin/env bash
# run.sh PROGRAM SEEDS SECONDS: let a libFuzzer program run for a time, from SEEDS and into a corpus of its
# own that ends with it. What it finds stays in the directory of the program.
set -eu
program=$1 seeds=$2 seconds=$3
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
"$program" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$program-" "$corpus" "$seeds"
