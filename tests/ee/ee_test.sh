#!/usr/bin/env bash
# dot2hsm ee download against dot2hsm-ra: options, configuration, what is printed, exit codes.
set -euo pipefail
dot2hsm=$BUILD_DIR/bin/dot2hsm
dir=$(mktemp -d)
ra=
cleanup() {
    [ -z "$ra" ] || kill "$ra" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
mkdir tokens
printf 'directories.tokendir = %s/tokens\n' "$dir" >softhsm2.conf
export SOFTHSM2_CONF=$dir/softhsm2.conf
unset DOT2HSM_CONF

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# expect CODE TEXT COMMAND...: the exit code, and the text somewhere in what it says
expect() {
    local code=0 want=$1 text=$2
    shift 2
    "$@" >out 2>&1 </dev/null || code=$?
    [ "$code" = "$want" ] || fail "exit $code, not $want: $* : $(cat out)"
    grep -qF -- "$text" out || fail "no \"$text\" in: $(cat out)"
}
json() { # json EXPRESSION: of the JSON in the file out
    python3 -c "import json; o=json.load(open('out')); print($1)"
}

head -c 3000000 /dev/urandom >original
"$dot2hsm" lab init --file original lab >lab.out
sed -i 's/^port *=.*/port = 0/' lab/ra.conf
grep -q '^port = 0' lab/ra.conf || fail "no port in ra.conf"
"$BUILD_DIR/bin/dot2hsm-ra" lab/ra.conf >ra.log 2>&1 &
ra=$!
for _ in $(seq 200); do
    ! grep -q event=started ra.log || break
    sleep 0.05
done
port=$(sed -n 's/.*event=started.* port=\([0-9]*\).*/\1/p' ra.log)
[ -n "$port" ] || fail "the RA did not start: $(cat ra.log)"
sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" lab/ee.conf lab/obe.conf
get() { "$dot2hsm" ee download --config lab/ee.conf "$@"; }
file=$(basename lab/ra/download/????????????????.zip)
other=$(basename lab/ra/download/????????????????_*.zip)

echo "- a download, and what is said of it"
lower=$(echo "$file" | tr 'A-F' 'a-f')
expect 0 "SHA-256         $(sha256sum <"lab/ra/download/$file" | cut -d' ' -f1)" get "$lower"
cmp "$file" "lab/ra/download/$file" || fail "not the file"
id=$("$dot2hsm" hash lab/rse/enrollment.oer | sed -n 's/^HashedId8 *//p')
grep -qi "^Enrollment  *HashedId8 $id, explicit, key " out || fail "$(cat out)"
grep -Eq '^TLS  *TLSv1\.3 ' out || fail "$(cat out)"
grep -Eq '^RA certificate  *CN=localhost.*, verified under CN=' out || fail "$(cat out)"
grep -Eq '^Time32 signed  *[0-9]{9,10} \(20[0-9-]{8}T[0-9:]{8}Z\)$' out || fail "$(cat out)"
! grep -q '^Resumed' out || fail "resumed from nothing"

echo "- an implicit certificate with a software key"
expect 0 ", implicit, key " "$dot2hsm" ee download --config lab/obe.conf --service identity "$other"
cmp "$other" "lab/ra/download/$other" || fail "not the file"

echo "- stopped on purpose, and on"
size=$(stat -c %s "lab/ra/download/$file")
expect 1 "stopped by --stop-after" get --stop-after 50000 --out part "$file"
kept=$(stat -c %s part.part)
[ "$kept" -ge 50000 ] && [ "$kept" -lt "$size" ] || fail "$kept octets were kept"
[ ! -e part ] || fail "a part is called whole"
expect 0 '"status": "EE_OK"' get --json --out part "$file"
[ "$(json 'o["resumed_from"], o["received"], o["size"]')" = "$kept $((size - kept)) $size" ] \
    || fail "$(cat out)"
[ "$(json 'o["signatures"], o["service"], o["enrollment_hashedid8"].lower()')" \
    = "1 application $id" ] || fail "$(cat out)"
cmp part "lab/ra/download/$file" || fail "not the file"
[ ! -e part.part.validator ] || fail "a validator is left"
expect 1 "stopped by --stop-after" get --stop-after 50000 --out part "$file"
expect 0 "File  " get --restart --out part "$file"
! grep -q '^Resumed' out || fail "--restart went on"
rm part

echo "- without authentication, and only if there is another version"
expect 0 "RA's name       local_certificate_chains" get --service chain --out chain.oer
! grep -q '^Time32' out || fail "signed without need"
name=$(sed -n "s/^RA's name *//p" out)
expect 0 "Not modified" get --service chain --out chain2.oer --have "$name"
[ ! -e chain2.oer ] || fail "written all the same"
expect 0 "File  " get --service chain --out chain2.oer --have another.oer
# Neither key nor provider is opened for it.
expect 0 "File  " env DOT2HSM_PROVIDER_PATH=/nonexistent "$dot2hsm" ee download \
    --config lab/ee.conf --enrollment-key file:/nonexistent --service chain --out chain2.oer

echo "- a directory, quiet, options instead of a configuration"
mkdir into
get -q -o into "$file" >out 2>&1
[ ! -s out ] || fail "quiet says: $(cat out)"
cmp "into/$file" "lab/ra/download/$file" || fail "not the file"
key=$(sed -n 's/^enrollment-key = "\(.*\)"/\1/p' lab/ee.conf)
expect 0 "File  " "$dot2hsm" ee download --ra-url "https://localhost:$port" \
    --tls-root lab/trust/x509-root.pem --enrollment-certificate lab/rse/enrollment.oer \
    --enrollment-key "$key" --resolve "localhost:$port:127.0.0.1" -o again "$file"

echo "- refusals"
rm -f "$file"
expect 1 "refused the request" get --service identity "$other"
expect 1 "refused the request" get 0000000000000000.zip
[ ! -e 0000000000000000.zip ] && [ ! -e 0000000000000000.zip.part ] || fail "a file was left"
expect 1 "nothing was signed" get --ra-url "https://ra.example:$port" \
    --resolve "ra.example:$port:127.0.0.1" "$file"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.key -out x.pem \
    -subj "/CN=X.509 root/O=another" -days 1 2>/dev/null
expect 1 "nothing was signed" get --tls-root x.pem "$file"
expect 3 "cannot be reached" get --ra-url https://localhost:1 "$file"
expect 1 "is not the key of the certificate" get --enrollment-key lab/ca/eca.key "$file"
expect 1 "is not a certificate" get --enrollment-certificate lab/ra/tls.pem "$file"
expect 1 "No such file" get --enrollment-certificate none.oer "$file"
expect 1 "cannot be opened" get --enrollment-key file:/nonexistent "$file"
expect 3 "/nonexistent.so" get --module /nonexistent.so --enrollment-key "pkcs11:object=x" "$file"
expect 3 "no such token" get --module /usr/lib/softhsm/libsofthsm2.so \
    --enrollment-key "pkcs11:token=no such token;object=x" "$file"
expect 2 "tokn" get --module /usr/lib/softhsm/libsofthsm2.so --enrollment-key "pkcs11:tokn=x" "$file"
expect 1 "the file cannot be written" get --out /nonexistent/x "$file"
expect 1 "larger than the limit" get --max-size 100 "$file"
[ ! -e "$file" ] || fail "$file was written"

echo "- usage"
expect 2 "which file" get
expect 2 "does not tell its service" get "$other"
expect 2 "unknown service" get --service crl "$file"
expect 2 "is not a file name of the service" get --service info "$file"
expect 2 "needs the name of a file" get --service info
expect 2 "has no file names" get --service policy --out x "$file"
expect 2 "--out is needed" get --service policy
expect 2 "one file at a time" get "$file" "$file"
expect 2 "--stop-after is a number" get --stop-after 0 "$file"
expect 2 "--max-size is a number" get --max-size 1k "$file"
expect 2 "does not begin with https" get --ra-url http://localhost "$file"
expect 2 "a path is the service's" get --ra-url https://localhost/x "$file"
expect 2 "resolve is not" get --resolve other:1:127.0.0.1 "$file"
expect 2 "TLS root" get --tls-root none.pem "$file"
expect 2 "ra-url is not set" "$dot2hsm" ee download --tls-root x.pem "$file"
expect 2 "tls-root is not set" "$dot2hsm" ee download --ra-url https://x "$file"
expect 2 "enrollment-key is not set" "$dot2hsm" ee download --ra-url https://x --tls-root x.pem \
    "$file"
sed 's/^ra-url/ra-ulr/' lab/ee.conf >bad.conf
expect 2 'bad.conf: [ee]: unknown key "ra-ulr"' "$dot2hsm" ee download --config bad.conf "$file"
cp lab/ee.conf bad.conf
echo 'download-header = sealed' >>bad.conf
expect 2 'download-header is signed or secured' "$dot2hsm" ee download --config bad.conf "$file"
cp lab/ee.conf bad.conf
sed -i '/^ra-certificate/d' bad.conf
echo 'download-header = secured' >>bad.conf
expect 2 'ra-certificate is not set' "$dot2hsm" ee download --config bad.conf "$file"
cp lab/ee.conf secured.conf
echo 'download-header = secured' >>secured.conf
expect 0 "SHA-256" "$dot2hsm" ee download --config secured.conf --out secured "$file"
cmp secured "lab/ra/download/$file" || fail "not the file"
sed -i 's#^ra-certificate.*#ra-certificate = lab/trust/ma.oer#' secured.conf
expect 1 "refused the request" "$dot2hsm" ee download --config secured.conf --restart "$file"
cp lab/ee.conf bad.conf
echo 'stall-timeout = soon' >>bad.conf
expect 2 'stall-timeout is a number' "$dot2hsm" ee download --config bad.conf "$file"
cp lab/ee.conf bad.conf
echo 'require-ocsp = maybe' >>bad.conf
expect 2 'require-ocsp is "maybe"' "$dot2hsm" ee download --config bad.conf "$file"
cp lab/ee.conf ocsp.conf
echo 'require-ocsp = yes' >>ocsp.conf
expect 1 'gave no OCSP response' "$dot2hsm" ee download --config ocsp.conf --out ocsp "$file"
expect 0 "Usage: dot2hsm ee download" get --help

echo "- interrupted by the user"
"$dot2hsm" ee download --config lab/ee.conf --limit-rate 500000 --out slow "$file" >out 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ ! -s slow.part ] || break
    sleep 0.02
done
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[ "$code" = 1 ] || fail "exit $code after a signal: $(cat out)"
grep -q "interrupted" out || fail "$(cat out)"
[ -s slow.part ] || fail "the part is gone"
expect 0 "Resumed" get --out slow "$file"
cmp slow "lab/ra/download/$file" || fail "not the file"

echo "- the example configuration"
sed -n 's/^#\([a-z0-9-]* =\)/\1/p; /^[^#]/p' "$SOURCE_DIR/apps/dot2hsm/dot2hsm.conf.example" >all.conf
# Every key in it is known; what it names is not there.
expect 1 "enrollment.oer" "$dot2hsm" ee download --config all.conf "$file"
expect 1 "enrollment.oer" "$dot2hsm" ee download \
    --config "$SOURCE_DIR/apps/dot2hsm/dot2hsm.conf.example" "$file"
echo "ok"
