#!/usr/bin/env bash
# An old and a new root at once, as long as a roll-over takes: IEEE 1609.2 anchors at device and RA,
# X.509 roots at the device. The RA gets certificates under the new roots; a device that was enrolled
# under the old ones goes on, and one that is enrolled under the new ones is served beside it.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
sync_lab
cas_start
old=$lab
new=$work/new
conf=$old/rse.conf
state=$old/rse/state
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
# Nothing installed and nothing asked for: the next sync does everything.
anew() { rm -rf "$state"; }
# refused TEXT...: the sync fails, says so, and no request has come.
refused() { # STATUS TEXT
    local before
    before=$(requests)
    anew
    expect "$1" ee sync
    says "$2"
    [ "$(requests)" = "$before" ] || fail "a request was sent"
}
# served: a request, its certificate, and a signature under it that verifies up to the old root.
served() {
    local before
    before=$(requests)
    anew
    expect 0 timeout 60 "$dot2hsm" ee sync --config "$conf" --wait
    [ "$(requests)" = $((before + 1)) ] || fail "no request"
    echo hello >"$work/message"
    expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"
    expect 0 "$dot2hsm" verify --root "$old/trust/root.oer" --cert "$old/trust" "$work/signed"
}
setting() { # FILE KEY VALUE: in place of what is there
    sed -i "s#^$2 *=.*#$2 = $3#" "$1"
}
ra_again() {
    kill "$ra" && wait "$ra" || true
    ra_start
    sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" "$old"/*.conf "$new"/*.conf
}

echo "- before: one root of each kind"
served
sleep 1 # the new certificates are valid from a later second on
"$dot2hsm" lab init "$new" >/dev/null
cat "$old/trust/x509-root.pem" "$new/trust/x509-root.pem" >"$work/x509-roots.pem"
mkdir "$work/anchors" "$work/between"
for which in old new; do
    cp "${!which}/trust/root.oer" "$work/anchors/$which.oer"
    for name in ica eca pca ma; do
        cp "${!which}/trust/$name.oer" "$work/between/$which-$name.oer"
    done
done
cp "$conf" "$work/before.conf"

echo "- the RA has a TLS certificate and a 1609.2 certificate under the new roots, beside its old one"
setting "$old/ra.conf" tls-certificate "$new/ra/tls.pem"
setting "$old/ra.conf" tls-key "file:$new/ra/tls.key"
setting "$old/ra.conf" anchors "$old/trust/root.oer, $new/trust/root.oer"
setting "$old/ra.conf" certificates "$old/trust, $new/trust"
# The chain file has what is under either root: the new ICA and PCA are its optional certificates.
python3 - "$old/ra/local_certificate_chains_01_01.oer" "$new/trust" "$work" <<'END'
import sys
data = open(sys.argv[1], 'rb').read()
assert data[-2:] == b'\1\0', data[-2:].hex()
certs = [open(f'{sys.argv[2]}/{name}.oer', 'rb').read() for name in ('ica', 'pca')]
open(f'{sys.argv[3]}/local_certificate_chains_01_02.oer', 'wb').write(
    data[:6] + b'\0\2' + data[8:-2] + b'\1\2' + b''.join(certs))
END
setting "$old/ra.conf" chain-file "$work/local_certificate_chains_01_02.oer"
cat >>"$old/ra.conf" <<END

[ra-key new]
certificate = $new/trust/ra.oer
sign-key = file:$new/ra/sign.key
decrypt-key = file:$new/ra/encryption.key
END
ra_again
grep -q "ra_keys=2" "$work/ra.log" || fail "not two keys"
refused 1 "certificate"
grep -q "event=closed reason=tls_handshake" "$work/ra.log" || fail "no handshake was refused"

echo "- with both X.509 roots, and the old 1609.2 anchor alone, the RA's new certificate is refused"
setting "$conf" tls-root "$work/x509-roots.pem"
refused 1 "the RA's certificate"

echo "- with both of each, a device of the old ECA is served by the RA under the new root"
setting "$conf" anchors "$work/anchors"
setting "$conf" certificates "$work/between"
served
cmp "$state/ra.oer" "$new/trust/ra.oer" || fail "the RA's new certificate is not installed"

echo "- what was encrypted to the RA's old certificate is taken, and answered under the new one"
"$tools/ra_client" body app "$old/obe/enrollment.oer" "$old/obe/enrollment.key" \
    "$old/trust/ra.oer" >"$work/body"
[ "$(curl -s -o "$work/ack" -w '%{http_code}' --cacert "$work/x509-roots.pem" \
    --resolve "localhost:$port:127.0.0.1" -H 'Content-Type: application/octet-stream' \
    --data-binary "@$work/body" "https://localhost:$port/provision-application-certificate")" = 200 ] ||
    fail "not taken"
"$tools/ra_client" ack "$new/trust/root.oer" "$new/trust/ica.oer" "$new/trust/ra.oer" "$work/body" \
    "$work/ack" >/dev/null || fail "the ack is not the new certificate's"
! "$tools/ra_client" ack "$old/trust/root.oer" "$old/trust/ica.oer" "$old/trust/ra.oer" \
    "$work/body" "$work/ack" >/dev/null 2>&1 || fail "the ack is the old certificate's"

echo "- a device of the new ECA, which knows the new roots alone, is served beside it"
before=$(requests)
expect 0 "$dot2hsm" ee sync --config "$new/rse.conf"
[ "$(requests)" = $((before + 1)) ] || fail "no request"

echo "- the RA's TLS certificate under the old root again: both roots hold at once"
setting "$old/ra.conf" tls-certificate "$old/ra/tls.pem"
setting "$old/ra.conf" tls-key "file:$old/ra/tls.key"
ra_again
served
expect 1 "$dot2hsm" ee sync --config "$new/rse.conf"
says "certificate"

echo "- an RA with one anchor refuses the devices under the other"
sed -i '/^crl-files/d' "$old/ra.conf" # which is under the old root
setting "$old/ra.conf" anchors "$new/trust/root.oer"
setting "$old/ra.conf" tls-certificate "$new/ra/tls.pem"
setting "$old/ra.conf" tls-key "file:$new/ra/tls.key"
ra_again
refused 1 "5067"
rm -rf "$new/rse/state"
before=$(requests)
expect 0 "$dot2hsm" ee sync --config "$new/rse.conf"
[ "$(requests)" = $((before + 1)) ] || fail "no request of the new device"
setting "$old/ra.conf" anchors "$old/trust/root.oer"
ra_again
served
rm -rf "$new/rse/state"
expect 1 "$dot2hsm" ee sync --config "$new/rse.conf"
says "5067"

echo "- an RA's certificate for another host is refused, though it leads to an anchor"
"$dot2hsm" lab init --host ra.example "$work/other" >/dev/null
cp "$work/other/trust/root.oer" "$work/anchors/other.oer"
cp "$work/other/trust/ica.oer" "$work/between/other-ica.oer"
setting "$old/ra.conf" certificate "$work/other/trust/ra.oer"
setting "$old/ra.conf" sign-key "file:$work/other/ra/sign.key"
setting "$old/ra.conf" decrypt-key "file:$work/other/ra/encryption.key"
ra_again
refused 1 'the RA'"'"'s certificate is for "ra.example"'
echo "ok"
