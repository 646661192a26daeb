#!/usr/bin/env bash
# A token that takes its time over one decryption holds up one event loop: the others serve, and the
# figures tell of a call that is longer in the module than deadline-ms, while it is and afterwards.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab
tokens ra
shim_start "$softhsm"
"$bin/dot2hsm" lab init "$lab" --module "$shim" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra >/dev/null
{
    sed -e 's/^port = .*/port = 0/' -e 's/^\[provider\]/&\ndeadline-ms = 1000/' "$lab/ra.conf"
    echo "threads = 4"
    echo "port-file = $work/ra.port"
    echo "metrics-port = 0"
    echo "metrics-port-file = $work/metrics.port"
} >"$work/ra.conf"
ra_start "$work/ra.conf"

figure() {
    curl -s "http://127.0.0.1:$(cat "$work/metrics.port")/metrics" | sed -n "s/^$1 //p"
}
ask() {
    curl -s -o /dev/null -w '%{http_code}\n' --cacert "$lab/trust/x509-root.pem" \
        --resolve "localhost:$port:127.0.0.1" "$@" || true
}

"$tools/ra_client" body app "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" \
    "$lab/trust/ra.oer" >"$work/body"
"$tools/shimctl" "$state" delay C_DeriveKey 4000000
derived=$(calls C_DeriveKey)
ask -H 'Content-Type: application/octet-stream' --data-binary "@$work/body" \
    "https://localhost:$port/provision-application-certificate" >"$work/posted" &
poster=$!
for _ in $(seq 100); do
    [ "$(calls C_DeriveKey)" -gt "$derived" ] && break
    sleep 0.02
done
for _ in $(seq 12); do
    ask --max-time 2 "https://localhost:$port/download/local-certificate-chain" &
done >"$work/got"
sleep 2.2
# The kernel chooses the loop: one in four of these waits.
served=$(grep -c '^200$' "$work/got") || true
[ "$served" -ge 3 ] || fail "$served of 12 served while one loop waited for the token"
[ "$(figure dot2hsm_hsm_stuck_operations)" = 1 ] || fail "the call is not told of"
[ ! -s "$work/posted" ] || fail "the token did not take its time"
wait "$poster"
[ "$(cat "$work/posted")" = 200 ] || fail "the request that waited: $(cat "$work/posted")"
[ "$(figure dot2hsm_hsm_stuck_operations)" = 0 ] || fail "the call is still told of"
[ "$(figure dot2hsm_hsm_late_calls_total)" -ge 1 ] || fail "the call was not counted"
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
echo "stall: $served of 12 served meanwhile"
