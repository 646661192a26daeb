#!/usr/bin/env bash
# A request whose acknowledgement was lost: the RA has accepted it, refuses every other body with
# its key, and delivers late or never. However often the device asks meanwhile, it finds its file;
# and if there never is one it asks with another key.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
sync_lab
conf=$lab/rse.conf
state=$lab/rse/state
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
# unacked LINE...: the acknowledgement is lost, and these bodies of the request have been sent too.
unacked() {
    sed -i '/^acked /d; /^download-time /d; /^failure /d' "$state/state"
    [ $# = 0 ] || printf '%s\n' "$@" >>"$state/state"
}
names() { sed -n -e 's/^hash //p' -e 's/^refused //p' "$state/state" | xargs; }

echo "- the name of the accepted body stays, whichever others have to go"
expect 0 ee sync
accepted=$(sed -n 's/^acked //p' "$state/state")
unacked "hash 0000000000000002" "refused 0000000000000003" "hash 0000000000000004"
# Seconds of the two clocks begin at different moments, so that one may be ahead by one here.
clock=$(sed -n 's/^clock [^ ]* //p' "$state/state")
sed -i "s/^\(clock [^ ]* \).*/\1$((clock + 1))/" "$state/state"
begun=$(date +%s%N)
expect 1 ee sync
# Two looks and a request, all of them refused, and at least two seconds from one to the next.
[ $(($(date +%s%N) - begun)) -ge 4000000000 ] || fail "the RA is asked again too soon"
says "raDuplicateRequestReceived"
[[ "$(names)" =~ ^"$accepted 0000000000000002 0000000000000004 "[0-9a-f]{16}$ ]] || fail "$(names)"
[ "$(grep -c '^refused ' "$state/state")" = 1 ] || fail "$(cat "$state/state")"
# An RA that closes without an answer: nothing is known of any.
sed -i 's/^refused /hash /' "$state/state"
unacked
expect 1 ee sync
says "raDuplicateRequestReceived"
[[ "$(names)" =~ ^"$accepted 0000000000000002 0000000000000004 "[0-9a-f]{16}$ ]] || fail "$(names)"

echo "- and is found when the RA delivers"
cas_start
for _ in $(seq 200); do
    [ ! -e "$lab/ra/download/${accepted^^}.zip" ] || break
    sleep 0.05
done
unacked
expect 0 ee sync
says "the application certificate is valid until"
[ "$(requests)" = 1 ] || fail "$(requests) requests"
kill "$cas" && wait "$cas" || true

echo "- a request that the RA has accepted and failed to serve is made anew, a day later"
sed 's/^\[ee\]/[ee]\nrenew-before = 8000/' "$conf" >"$work/renew.conf"
expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
sqlite3 -cmd '.timeout 10000' "$lab/ra/store.sqlite" "UPDATE requests SET state = 2 WHERE state = 0"
first=$(sed -n 's/^request //p' "$state/state")
made=$(sed -n 's/^made //p' "$state/state")
unacked
sed -i "s/^made .*/made $((made - 86000))/" "$state/state"
expect 1 "$dot2hsm" ee sync --config "$work/renew.conf"
says "raDuplicateRequestReceived"
[ "$(sed -n 's/^request //p' "$state/state")" = "$first" ] || fail "made anew within the day"
sed -i "s/^made .*/made $((made - 86500))/" "$state/state"
unacked
expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
says "it is made anew"
[ "$(sed -n 's/^request //p' "$state/state")" != "$first" ] || fail "the same request"
[ "$(requests)" = 3 ] || fail "$(requests) requests"
! ls "$state/request-$first".* >"$work/ls" 2>&1 || {
    expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
    ! ls "$state/request-$first".* >"$work/ls" 2>&1 || fail "left: $(cat "$work/ls")"
}
echo ok
