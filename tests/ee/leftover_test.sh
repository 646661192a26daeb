#!/usr/bin/env bash
# What a run that was killed while it made a key pair may leave in a token: half of a pair, a pair
# without CKA_ID, or one that appeared after the next run had made its own. Each is deleted, the
# pair is whole, and the request goes on to its certificate.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
tokens ra rse
sync_lab --module "$softhsm" --pin-source "file:$work/%s.pin" --rse-token pkcs11:token=rse
conf=$lab/ee.conf
state=$lab/rse/state
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
tool() {
    pkcs11-tool --module "$softhsm" --token-label rse --login --pin "$(cat "$work/rse.pin")" "$@" \
        >"$work/tool.log" 2>&1 || {
        cat "$work/tool.log" >&2
        fail "pkcs11-tool $*"
    }
}
# objects NAME: class and CKA_ID of each, sorted.
objects() {
    "$dot2hsm" keys list --config "$conf" --json "pkcs11:token=rse;object=$1" | python3 -c '
import json, sys
print(" ".join(sorted(x["class"] + ":" + x["id"] for x in json.load(sys.stdin))))'
}
# As it is when the keys are there and nothing was sent: the state names the request alone, and the
# RA knows none. The CAs are not at work meanwhile.
unsent() {
    rm -rf "$state"
    expect 0 ee sync
    id=$(sed -n 's/^request //p' "$state/state")
    sed -i '/^hash /d; /^acked /d; /^download-time /d' "$state/state"
    sqlite3 -cmd '.timeout 10000' "$lab/ra/store.sqlite" "DELETE FROM requests"
    verify=app-$id-verify
    whole=$(objects "$verify")
    [ "$(wc -w <<<"$whole")" = 2 ] || fail "not one pair: $whole"
}
# A pair as C_GenerateKeyPair makes it before it is given its CKA_ID.
nameless() { tool --keypairgen --key-type EC:prime256v1 --usage-sign --label "$1"; }
# goes_on SAME|ANEW: one whole pair, and a certificate that signs.
goes_on() {
    local now id
    expect 0 ee sync
    now=$(objects "$verify")
    [ "$(wc -w <<<"$now")" = 2 ] || fail "not one pair: $now"
    for id in $now; do
        [ "${#id}" -gt 40 ] || fail "without a CKA_ID: $now"
    done
    case $1 in
    same) [ "$now" = "$whole" ] || fail "the whole pair was deleted: $whole, now $now" ;;
    anew) [ "$now" != "$whole" ] || fail "not made anew: $now" ;;
    esac
    cas_start
    expect 0 timeout 60 "$dot2hsm" ee sync --config "$conf" --wait
    kill "$cas" && wait "$cas" || true
    echo hello >"$work/message"
    expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"
    expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed"
}

echo "- a private key without its public one"
unsent
tool --delete-object --type pubkey --label "$verify"
goes_on anew

echo "- a public key without its private one"
unsent
tool --delete-object --type privkey --label "$verify"
goes_on anew

echo "- a pair without CKA_ID"
unsent
expect 0 "$dot2hsm" keys delete --yes --config "$conf" "pkcs11:token=rse;object=$verify"
nameless "$verify"
whole=$(objects "$verify")
goes_on anew

echo "- a pair without CKA_ID that appeared beside the whole one"
unsent
nameless "$verify"
[ "$(objects "$verify" | wc -w)" = 4 ] || fail "not two pairs: $(objects "$verify")"
goes_on same

echo "- a key of another name is nobody's leftover"
nameless "somebody's"
unsent
goes_on same
[ "$(objects "somebody's" | wc -w)" = 2 ] || fail "somebody's key was deleted"

echo "- keys to be deleted, the first of them in a token that is away"
nameless old
sed -i '/^obsolete /d' "$state/state"
both="pkcs11:token=away;object=old pkcs11:token=rse;object=old"
echo "obsolete $both" >>"$state/state"
"$dot2hsm" ee sync --config "$conf" >"$work/away.log" 2>&1 && fail "a token that is away goes unnoticed"
grep -qx "obsolete $both" "$state/state" || fail "what waits to be deleted was forgotten"
sed -i 's/^obsolete .* /obsolete /' "$state/state"
expect 0 ee sync
[ -z "$(objects old)" ] || fail "not deleted: $(objects old)"
! grep -q '^obsolete .' "$state/state" || fail "deleted, and still to be deleted"
echo "ok"
