#!/usr/bin/env bash
# dot2hsm-ra, killed with -9 at random moments while devices post requests over TLS: no request that
# was acknowledged is lost, and none is accepted twice. Ten times; a hundred with DOT2HSM_LONG.
#   crash.sh sqlite|postgresql
. "$SOURCE_DIR/tests/ra/load_lib.sh"

rounds=10
[ -z "${DOT2HSM_LONG:-}" ] || rounds=100
seed=${CRASH_SEED:-$RANDOM}
RANDOM=$seed
echo "$1: seed $seed, $rounds rounds"
load_lab "$1"
{
    cat "$work/base.conf"
    echo "[ra]"
    echo "port-file = $work/ra.port"
} >"$work/ra.conf"
ra_start "$work/ra.conf"
load_start "$work/ra.port" 4
for round in $(seq "$rounds"); do
    more 1
    sleep "0.$(printf '%03d' $((RANDOM % 250)))"
    kill -KILL "$ra"
    wait "$ra" 2>/dev/null && fail "round $round: it had ended"
    ra_start "$work/ra.conf"
done
more 1
load_end
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
load_lab_end
echo "killed $rounds times"
