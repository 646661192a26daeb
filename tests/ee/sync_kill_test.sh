#!/usr/bin/env bash
# dot2hsm ee sync, killed at random moments and run again: one request at the RA, its certificate
# installed, nothing left beside it, no key left in the token. 20 rounds, fewer with keys in a token or
# under a sanitizer; 200 with DOT2HSM_LONG.
#   sync_kill_test.sh [file|token|assembled]    where the device's keys are; assembled: in a token,
#                                               and made on the host for implicit certificates
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
kind=${1:-file}
rounds=20
application=explicit
[ -z "${SANITIZE:-}" ] || rounds=8
[ "$kind" != token ] || rounds=6
[ "$kind" != assembled ] || { rounds=10 application=implicit; }
[ -z "${DOT2HSM_LONG:-}" ] || rounds=200
files="application.oer application.pem chain.oer lock policy.oer ra.oer state "
if [ "$kind" != file ]; then
    tokens ra rse
    CERTIFICATE_DELAY=1 sync_lab --module "$softhsm" --pin-source "file:$work/%s.pin" \
        --rse-token pkcs11:token=rse
    token_apart "$(readlink -f "$lab/ee.conf")"
    files=${files/application.pem /}
else
    CERTIFICATE_DELAY=1 sync_lab
fi
cas_start --application "$application"
[ "$kind" != assembled ] || sed -i 's/^\[ee\]/[ee]\nassemble-key-on-host = yes/' "$(readlink -f "$lab/ee.conf")"
seed=${SYNC_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed, $rounds rounds"
state=$lab/rse/state
killed=0
run() { "$dot2hsm" ee sync --quiet --config "$lab/ee.conf" "$@"; }
now() { echo $(($(date +%s%N) / 1000000)); }

# keys: how many private keys the device's token has
keys() {
    [ "$kind" != file ] || return 0
    "$dot2hsm" keys list --config "$lab/ee.conf" --json pkcs11:token=rse | grep -c '"private'
}

# kill_within MS: a run that is killed at a random moment in that time
kill_within() {
    local pid ms=$((RANDOM % $1))
    "$dot2hsm" ee sync --quiet --wait --config "$lab/ee.conf" >>"$work/killed.log" 2>&1 &
    pid=$!
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || true
}

# How long is it to the acknowledgement, and, when the certificate is there, to its installation?
# Kills are spread over a bit more than each. What is between is waiting.
begin=$(now)
run || [ "$(requests)" = 1 ] || fail "the first run"
to_ack=$(($(now) - begin + 20))
sleep 1.2
begin=$(now)
run --wait || fail "the first certificate"
to_install=$(($(now) - begin + 20))
echo "acknowledged after $to_ack ms, installed after $to_install ms"
for round in $(seq "$rounds"); do
    before=$(requests)
    keys_before=$(keys)
    rm -rf "$state"
    if [ $((round % 2)) = 0 ]; then
        kill_within "$to_ack"
        kill_within "$to_ack"
    else
        # On the edge of a second the certificate may be due at once, and not be there yet.
        run >>"$work/killed.log" 2>&1 || [ "$(requests)" = $((before + 1)) ] ||
            fail "round $round: no acknowledgement"
        sleep 1.1
        kill_within "$to_install"
        kill_within "$to_install"
    fi
    timeout 60 "$dot2hsm" ee sync --quiet --config "$lab/ee.conf" --wait >"$work/last.log" 2>&1 || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round does not end well"
    }
    [ "$(requests)" = $((before + 1)) ] || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round: $(($(requests) - before)) requests"
    }
    cp "$state"/application-*.oer "$work/certificate.oer"
    run || fail "round $round: once more"
    cmp "$state"/application-*.oer "$work/certificate.oer" || fail "round $round: another certificate"
    [ "$(requests)" = $((before + 1)) ] || fail "round $round: one more request"
    names=$(ls -A "$state" | sed 's/application-[0-9a-f]*/application/' | sort | tr '\n' ' ')
    [ "$names" = "$files" ] || fail "round $round: left are $names"
    # The key of the certificate, and no other: the round before lost its state, not its key.
    [ "$kind" = file ] || [ "$(keys)" = $((keys_before + 1)) ] ||
        fail "round $round: $(keys) keys in the token, $keys_before before"
    "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/certificate.oer" \
        >/dev/null || fail "round $round: not a certificate that verifies"
    expect 0 "$dot2hsm" ee sign --psid 0x82 --config "$lab/ee.conf" -o "$work/signed.oer" "$lab/README"
    expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"
done
if [ "$kind" = file ]; then
    # An implicit certificate, for a key that is a file: e k + s, made on the host.
    kill "$cas" && wait "$cas" || true
    cas_start --application implicit
    rm -rf "$state"
    expect 0 "$dot2hsm" ee sync --wait --config "$lab/ee.conf"
    expect 0 "$dot2hsm" ee sign --psid 0x82 --config "$lab/ee.conf" -o "$work/signed.oer" "$lab/README"
    expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"
    says "implicit"
    [ "$(stat -c %a "$state"/application-*.pem)" = 600 ] || fail "the mode of the key"
fi
echo "$killed runs killed"
[ "$killed" -ge "$rounds" ] || fail "only $killed runs were killed"
echo ok
