#!/usr/bin/env bash
# dot2hsm ee sync, killed at random moments and run again: one request at the RA, its certificate
# installed, nothing left beside it. 20 times; 200 times with DOT2HSM_LONG.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
rounds=20
[ -z "${DOT2HSM_LONG:-}" ] || rounds=200
sync_lab
cas_start
seed=${SYNC_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed, $rounds rounds"

# How long is a whole run? Kills are spread over a bit more than that.
begin=$(date +%s%N)
"$dot2hsm" ee sync --quiet --config "$lab/ee.conf" || fail "the first run"
whole=$((($(date +%s%N) - begin) / 1000000 + 20))
"$dot2hsm" ee sync --wait --quiet --config "$lab/ee.conf" || fail "the first certificate"
state=$lab/rse/state
killed=0
for round in $(seq "$rounds"); do
    before=$(requests)
    rm -rf "$state"
    for _ in 1 2; do
        "$dot2hsm" ee sync --wait --quiet --config "$lab/ee.conf" >>"$work/killed.log" 2>&1 &
        pid=$!
        ms=$((RANDOM % whole))
        sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
        if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
        wait "$pid" 2>/dev/null || true
    done
    "$dot2hsm" ee sync --wait --quiet --config "$lab/ee.conf" >"$work/last.log" 2>&1 || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round does not end well"
    }
    [ "$(requests)" = $((before + 1)) ] || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round: $(($(requests) - before)) requests"
    }
    cp "$state"/application-*.oer "$work/certificate.oer"
    "$dot2hsm" ee sync --quiet --config "$lab/ee.conf" || fail "round $round: once more"
    cmp "$state"/application-*.oer "$work/certificate.oer" || fail "round $round: another certificate"
    [ "$(requests)" = $((before + 1)) ] || fail "round $round: one more request"
    names=$(ls -A "$state" | sed 's/application-[0-9a-f]*/application/' | sort | tr '\n' ' ')
    [ "$names" = "application.oer application.pem chain.oer lock policy.oer ra.oer state " ] ||
        fail "round $round: left are $names"
    "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/certificate.oer" \
        >/dev/null || fail "round $round: not a certificate that verifies"
done
# An implicit certificate, for a key that is a file: e k + s, made on the host.
kill "$cas" && wait "$cas" || true
cas_start --application implicit
rm -rf "$state"
expect 0 "$dot2hsm" ee sync --wait --config "$lab/ee.conf"
expect 0 "$dot2hsm" ee sign --psid 0x82 --config "$lab/ee.conf" -o "$work/signed.oer" "$lab/README"
expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"
says "implicit"
[ "$(stat -c %a "$state"/application-*.pem)" = 600 ] || fail "the mode of the key"
echo "$killed runs killed"
[ "$killed" -ge "$rounds" ] || fail "only $killed runs were killed"
echo ok
