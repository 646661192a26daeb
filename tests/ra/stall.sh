#!/usr/bin/env bash
# A token that takes its time over one decryption holds up one event loop: the others serve.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab
tokens ra
shim_start "$softhsm"
"$bin/dot2hsm" lab init "$lab" --module "$shim" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra >/dev/null
{
    sed 's/^port = .*/port = 0/' "$lab/ra.conf"
    echo "threads = 4"
    echo "port-file = $work/ra.port"
} >"$work/ra.conf"
ra_start "$work/ra.conf"

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
[ ! -s "$work/posted" ] || fail "the token did not take its time"
wait "$poster"
[ "$(cat "$work/posted")" = 200 ] || fail "the request that waited: $(cat "$work/posted")"
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
echo "stall: $served of 12 served meanwhile"
