#!/usr/bin/env bash
# tests/bench/run.sh provider|codec|ra|server|growth|ee [--smoke] [--json FILE] [--plot FILE]
#
# A table of ratios, and the same as JSON rows. Ends with 0 if every target is met, 1 if one is missed, 2 if it could not run.
# --smoke: each step once, very short, whatever the targets say; growth without PostgreSQL.
# --plot: where growth draws its curves; docs/growth.svg.
# BUILD_DIR (default: build/release) has the programs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$root/build/release}
work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; exit $status' EXIT

usage() {
    echo "usage: $0 provider|codec|ra|server|growth|ee [--smoke] [--json FILE] [--plot FILE]" >&2
    exit 2
}
mode=${1:-}
case $mode in
provider | codec | ra | server | growth | ee) shift ;;
*) usage ;;
esac
rounds=31 slice=15 far_slice=60 json='' smoke=no plot=$root/docs/growth.svg
while [ $# -gt 0 ]; do
    case $1 in
    --smoke) smoke=yes rounds=1 slice=2 far_slice=5 ;;
    --json)
        [ $# -gt 1 ] || usage
        json=$(realpath -m "$2")
        shift
        ;;
    --plot)
        [ $# -gt 1 ] || usage
        plot=$(realpath -m "$2")
        shift
        ;;
    *) usage ;;
    esac
    shift
done
unset OPENSSL_CONF OPENSSL_MODULES DOT2HSM_CONF
export DOT2HSM_MODULES=$build/lib

status=0
: >"$work/rows"
# run PROGRAM WHAT SLICE_MS: its rows
run() {
    local got=0
    "$build/tests/$1" "$2" "$rounds" "$3" "$work/part" || got=$?
    [ $got -lt 2 ] || exit $got
    [ $got -eq 0 ] || status=1
    if [ -s "$work/part" ]; then
        [ ! -s "$work/rows" ] || printf ',' >>"$work/rows"
        cat "$work/part" >>"$work/rows"
        rm -f "$work/part"
    fi
}
# script NAME [ARGUMENT]: its rows
script() {
    local script_rounds=7
    [ $smoke = no ] || script_rounds=1
    python3 "$root/tests/bench/$1.py" "$build" "$work" $script_rounds "$work/rows" $smoke "${@:2}" || status=$?
    [ -s "$work/rows" ] || { # it ended with 1, but not for a target
        tail -n 20 "$work"/*.log >&2
        exit 2
    }
}
printf '%-44s %s  %7s  %s\n' name threads ratio target
case $mode in
provider) . "$root/tests/bench/provider.sh" ;;
codec) run bench_ra codec "$slice" ;;
ra) run bench_ra pipeline "$slice" ;;
server)
    [ -n "$(PATH=$PATH:/usr/sbin command -v nginx)" ] || {
        echo "bench: nginx is not installed" >&2
        exit 2
    }
    script server
    ;;
growth) script growth "$plot" ;;
ee) script ee ;;
esac
[ -z "$json" ] || printf '[%s\n]\n' "$(cat "$work/rows")" >"$json"
[ $smoke = no ] || status=0
exit $status
