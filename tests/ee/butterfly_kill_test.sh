#!/usr/bin/env bash
# dot2hsm ee sync with pseudonym and identification certificates, killed at random moments and run
# again: one request of each kind at the RA, every batch installed with its keys, nothing left
# beside them. 4 rounds, 2 under a sanitizer; 60 with DOT2HSM_LONG.
#   butterfly_kill_test.sh [file|token|assembled]    where the keys are: see butterfly_test.sh
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
rounds=4
where=${1:-file}
[ "$where" != assembled ] && [ -z "${SANITIZE:-}" ] || rounds=2
[ -z "${DOT2HSM_LONG:-}" ] || rounds=60
sync_lab
cas_start
state=$work/state
conf=$work/device.conf
{
    sed -n '/^\[ee\]/,$p' "$lab/obe.conf" | sed '/^state-dir/d'
    printf 'state-dir = %s\nprovision = pseudonym, identification\n' "$state"
} >"$conf"
files="chain.oer identification identification lock policy.oer pseudonym pseudonym ra.oer \
request.expansions request.expansions request.response.pem request.response.pem \
request.verify.pem request.verify.pem state "
# An empty token, in another process, as a HSM is: what is killed while SoftHSM writes takes the token
# with it.
shimd=
token_new() {
    if [ -n "$shimd" ]; then
        kill "$shimd"
        wait "$shimd" 2>/dev/null || true
        rm -rf "$work/tokens" "$SHIM_SOCKET"
    fi
    tokens rse
    export SHIM_SOCKET=$work/shim.sock
    setsid "$tools/p11shimd" "$SHIM_SOCKET" "$softhsm" >"$work/shimd.log" 2>&1 &
    shimd=$!
    for _ in $(seq 100); do
        [ -S "$SHIM_SOCKET" ] && break
        sleep 0.05
    done
}
if [ "$where" != file ]; then
    token_new
    {
        if [ "$where" = token ]; then
            echo "response-token = pkcs11:token=rse"
        else
            printf 'application-token = pkcs11:token=rse\nassemble-key-on-host = yes\n'
        fi
        echo "[provider]"
        echo "pkcs11-module = $tools/p11shim.so"
        echo "pin-source = file:$work/rse.pin"
    } >>"$conf"
    files=${files/request.response.pem request.response.pem /}
    [ "$where" = token ] || files=${files//verify.pem/verify.sealed}
fi
seed=${SYNC_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed, $rounds rounds"
killed=0
wanted=2 # keys in the token
[ "$where" != assembled ] || wanted=$((4 + 2 * 21))
run() { "$dot2hsm" ee sync --quiet --config "$conf" "$@"; }
now() { echo $(($(date +%s%N) / 1000000)); }
keys() {
    [ "$where" != file ] || return 0
    "$dot2hsm" keys list --config "$conf" --json pkcs11:token=rse | grep -c '"private' || true
}
kill_within() {
    local pid ms=$((RANDOM % $1))
    "$dot2hsm" ee sync --quiet --wait --config "$conf" >>"$work/killed.log" 2>&1 &
    pid=$!
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2>/dev/null || true
}

# To the acknowledgements, and from the files' being there to the installation of all.
begin=$(now)
run || fail "the first run"
to_ack=$(($(now) - begin + 20))
sleep 2.5
begin=$(now)
run --wait || fail "the first certificates"
to_install=$(($(now) - begin + 20))
echo "acknowledged after $to_ack ms, installed after $to_install ms"
for round in $(seq "$rounds"); do
    before=$(requests)
    # The device begins anew, and its token, which would get slower by each round.
    rm -rf "$state"
    [ "$where" = file ] || token_new
    if [ $((round % 2)) = 0 ]; then
        kill_within "$to_ack"
        kill_within "$to_ack"
    else
        run || fail "round $round: no acknowledgement"
        sleep 2.2
        kill_within "$to_install"
        kill_within "$to_install"
    fi
    run --wait >"$work/last.log" 2>&1 || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round does not end well"
    }
    # A batch that the CA had not yet made when the first was there.
    sed -i 's/^\(\(pseudonym\|identification\)-order .*\) [0-9]*$/\1 1/' "$state/state"
    run || fail "round $round: once more"
    [ "$(requests)" = $((before + 2)) ] || {
        cat "$work/last.log" "$state/state" >&2
        fail "round $round: $(($(requests) - before)) requests"
    }
    names=$(ls -A "$state" | sed 's/-[0-9a-f]\{16\}//; s/-[0-9A-F]*$//' | sort | tr '\n' ' ')
    [ "$names" = "$files" ] ||
        fail "round $round: left are $names"
    [ "$where" = file ] || [ "$(keys)" = "$wanted" ] || fail "round $round: $(keys) keys, not $wanted"
    for batch in "$state"/pseudonym-*; do
        [ "$(ls "$batch" | wc -l)" = 40 ] || fail "round $round: $(ls "$batch")"
    done
    echo "round $round" >"$work/message"
    for kind in pseudonym identification; do
        expect 0 "$dot2hsm" ee sign --kind $kind --config "$conf" --psid 0x20 -o "$work/signed.oer" \
            "$work/message"
        expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" \
            "$work/signed.oer"
    done
done
echo "$killed runs killed"
[ "$killed" -ge "$rounds" ] || fail "only $killed runs were killed"
echo ok
