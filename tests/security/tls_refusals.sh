#!/usr/bin/env bash
# Requirement S2: an RA whose X.509 certificate is not under the root, is expired or is another
# host's gets no signature. Signatures are counted at the token, by a module in front of it.
. "$SOURCE_DIR/tests/security/lib.sh"

tokens ra rse
"$bin/dot2hsm" lab init "$work/lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse >/dev/null
file=$(basename "$work"/lab/ra/download/????????????????.zip)
root=$work/lab/trust/x509-root
shim_start "$softhsm"

# ---- false RAs ----
key=$work/false.key
openssl ecparam -name prime256v1 -genkey -noout -out "$key"
cat >"$work/ca.cnf" <<CNF
[ca]
default_ca = lab
[lab]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
CNF
: >"$work/index"
# leaf NAME HOST FROM TO CA-CERT CA-KEY: a server certificate NAME.pem
leaf() {
    openssl req -new -key "$key" -subj "/CN=$2" -addext "subjectAltName=DNS:$2" \
        -out "$work/$1.csr" 2>/dev/null
    openssl ca -batch -config "$work/ca.cnf" -cert "$5" -keyfile "$6" -startdate "$3" \
        -enddate "$4" -in "$work/$1.csr" -out "$work/$1.pem" -notext 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/other.key" \
    -subj "/CN=another root" -days 10 -out "$work/other-root.pem" 2>/dev/null
from=20250101000000Z to=20400101000000Z
leaf other-root-leaf localhost $from $to "$work/other-root.pem" "$work/other.key"
leaf expired localhost $from 20250201000000Z "$root.pem" "$work/lab/ca/x509-root.key"
leaf future localhost 20390101000000Z $to "$root.pem" "$work/lab/ca/x509-root.key"
leaf other-host ra.example.org $from $to "$root.pem" "$work/lab/ca/x509-root.key"
openssl req -x509 -key "$key" -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 10 \
    -out "$work/self-signed.pem" 2>/dev/null

# false_ra CERTIFICATE: openssl's own server with it; $port
false_ra() {
    port=$((20000 + RANDOM % 20000))
    setsid openssl s_server -accept "127.0.0.1:$port" -cert "$work/$1.pem" -key "$key" -www \
        >"$work/s_server.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.05
    done
    fail "openssl s_server did not start"
}
download() { # of $file from localhost:$port, through the counting module
    "$bin/dot2hsm" ee download --config "$work/lab/rse.conf" --module "$shim" \
        --ra-url "https://localhost:$port" --resolve "localhost:$port:127.0.0.1" \
        --out "$work/received" "$file"
}

for false in other-root-leaf self-signed expired future other-host; do
    false_ra $false
    "$tools/shimctl" "$state" reset
    expect 1 download
    [ "$(calls C_Sign)" -eq 0 ] || fail "$false: the token signed"
    [ "$(calls C_SignInit)" -eq 0 ] || fail "$false: the token was asked to sign"
    [ -s "$work/err" ] || fail "$false: nothing was said"
    [ ! -e "$work/received" ] || fail "$false: a file was written"
    echo "no signature for $false: $(cat "$work/err")"
    kill "$server"
done
# Each says what is wrong, not merely that something is.
false_ra expired
expect 1 download
grep -q 'the certificate CN=localhost ended 2025-02-01T00:00:00Z, and this clock says' "$work/err" || fail "expired: $(cat "$work/err")"
kill "$server"
false_ra other-host
expect 1 download
grep -qiE 'name|host' "$work/err" || fail "another host: $(cat "$work/err")"
kill "$server"

# ---- the true RA: exactly one signature, so the count counts ----
{
    sed 's/^port = .*/port = 0/' "$work/lab/ra.conf"
    echo "port-file = $work/ra.port"
} >"$work/ra.conf"
ra_start "$work/ra.conf"
"$tools/shimctl" "$state" reset
expect 0 download
[ "$(calls C_Sign)" -eq 1 ] || fail "the true RA: $(calls C_Sign) signatures instead of 1"
cmp "$work/received" "$work/lab/ra/download/$file"
echo "one signature for the true RA"
kill -TERM "$ra"
wait "$ra"

# ---- returning devices cost the RA's HSM nothing ----
SHIM_STATE=$work/ra-shim.state
export SHIM_STATE
"$tools/shimctl" "$SHIM_STATE" create
sed -i "s|^pkcs11-module = .*|pkcs11-module = $shim|" "$work/ra.conf"
ra_start "$work/ra.conf"
state=$SHIM_STATE
connect() { # OPTION...: one TLS connection, held for a moment so that tickets arrive
    sleep 0.5 | timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile "$root.pem" "$@" \
        >"$work/s_client.log" 2>&1 || true
}
for version in -tls1_2 -tls1_3; do
    "$tools/shimctl" "$state" reset
    connect $version -sess_out "$work/session"
    [ "$(calls C_Sign)" -eq 1 ] || fail "$version: $(calls C_Sign) signatures for a full handshake instead of 1"
    "$tools/shimctl" "$state" reset
    for _ in 1 2 3 4; do
        connect $version -sess_in "$work/session"
        grep -q '^Reused' "$work/s_client.log" || fail "$version: the session was not resumed"
    done
    [ "$(calls C_Sign)" -eq 0 ] || fail "$version: resumption cost $(calls C_Sign) signatures"
    echo "resumed $version: no signature"
done
