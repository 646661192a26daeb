#!/usr/bin/env bash
# An RA whose three keys are in a SoftHSM2 token: requests over TLS, an RA that is killed, and what
# it says at its start about keys with which it could not do its work.
. "$SOURCE_DIR/tests/security/lib.sh"

program=$bin/dot2hsm-ra
client=$tools/ra_client
lab=$work/lab
tokens ra
"$bin/dot2hsm" lab init "$lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra >/dev/null
grep -q '^sign-key = "pkcs11:.*ra-sign' "$lab/ra.conf" || fail "the RA's keys are not in its token"
config=$work/ra.conf
head -c 5000 /dev/urandom >"$work/composite.crl"
{
    sed '/^url-base/d; s/^port = .*/port = 0/' "$lab/ra.conf"
    echo "port-file = $work/ra.port"
    echo "crl-file = $work/composite.crl"
    echo "crl-port = 0"
    echo "crl-port-file = $work/crl.port"
} >"$config"

# says FILE TEXT
says() {
    grep -qF -- "$2" "$1" || {
        cat "$1" >&2
        fail "\"$2\" is not in $1"
    }
}

# ask PATH [CURL-OPTION...]: the status; headers and body are in $work. port: $at.
ask() {
    local path=$1
    shift
    curl -s -o "$work/answer" -D "$work/headers" -w '%{http_code}' \
        --cacert "$lab/trust/x509-root.pem" --resolve "localhost:$at:127.0.0.1" "$@" \
        "https://localhost:$at$path" || true
}
posts() {
    ask "$1" -H 'Content-Type: application/octet-stream' --data-binary "@$2" -X POST
}
body() {
    "$client" body "$1" "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer"
}

ra_start "$config"
at=$port
says "$work/ra.log" "ra_keys=1"

# A request of each kind, and its ack under the RA's certificate.
for kind in app id pseudonym; do
    case $kind in
    app) path=/provision-application-certificate get=/download/application-certificate ;;
    id) path=/provision-identity-certificate get=/download/identity-certificate ;;
    pseudonym) path=/provision-pseudonym-certificate-batch get=/download/batch ;;
    esac
    body "$kind" >"$work/$kind.body"
    [ "$(posts "$path" "$work/$kind.body")" = 200 ] || fail "$kind: no ack"
    url=$("$client" ack "$lab/trust/root.oer" "$lab/trust/ica.oer" "$lab/trust/ra.oer" \
        "$work/$kind.body" "$work/answer") || fail "$kind: the ack"
    [ "$url" = "https://localhost:$at$get" ] || fail "$kind: certDLURL is $url"
done

# curl waits for 100 Continue before a body as large as it likes to.
head -c 2000 /dev/zero >"$work/large"
[ "$(ask /retrieve-ra-certificate -H 'Content-Type: application/octet-stream' -H 'Expect: 100-continue' \
    --data-binary "@$work/large")" = 500 ] || fail "2000 zeros"
says "$work/headers" "100 Continue"
says "$work/headers" "SCMS-POC-Error: 5070"

# The RA's certificate.
printf '\003\200\005\001\203\200\000\001' >"$work/request"
[ "$(posts /retrieve-ra-certificate "$work/request")" = 200 ] || fail "no certificate"
cmp "$work/answer" "$lab/trust/ra.oer" || fail "another certificate"

# A download with the Secured header.
name=0011223344556677.zip
head -c 1000 /dev/urandom >"$lab/ra/download/$name"
"$bin/dot2hsm" ra files assign --store "$lab/ra/store.sqlite" "$name" "$lab/obe/enrollment.oer" \
    >/dev/null
header=$("$client" header "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" \
    "$lab/trust/ra.oer" "$name")
[ "$(ask /download/application-certificate -H "Download-Req: $header")" = 200 ] || fail "Secured"
cmp "$work/answer" "$lab/ra/download/$name" || fail "another file"

# The MA's service on its own port, and not on the RA's.
at=$(cat "$work/crl.port")
[ "$(ask /download-crl/)" = 200 ] || fail "no CRL"
cmp "$work/answer" "$work/composite.crl" || fail "another CRL"
[ "$(ask /retrieve-ra-certificate -d x)" = 404 ] || fail "the RA on the MA's port"
at=$port
[ "$(ask /download-crl/)" = 404 ] || fail "the MA on the RA's port"

# What was acknowledged is there after kill -9: the same octets are a duplicate.
kill -KILL "$ra"
wait "$ra" 2>/dev/null || true
ra_start "$config"
at=$port
for kind in app id pseudonym; do
    case $kind in
    app) path=/provision-application-certificate ;;
    id) path=/provision-identity-certificate ;;
    pseudonym) path=/provision-pseudonym-certificate-batch ;;
    esac
    [ "$(posts "$path" "$work/$kind.body")" = 500 ] || fail "$kind: accepted twice"
    says "$work/headers" "SCMS-POC-Error: 5057"
done
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"

# Keys and settings with which it could not do its work are named at the start.
change() { # SED-EXPRESSION: into $work/other.conf
    sed -e "$1" "$config" >"$work/other.conf"
}
refused() { # STATUS TEXT
    expect "$1" "$program" --check "$work/other.conf"
    says "$work/err" "$2"
}
change 's/^decrypt-key = .*/decrypt-key = "pkcs11:token=ra;object=ra-sign;type=private"/'
refused 3 "[ra-key lab]"
says "$work/err" "may not derive"
change 's/^sign-key = .*/sign-key = "pkcs11:token=ra;object=ra-tls;type=private"/'
refused 2 "ra-sign-key: the key is not that of the certificate"
change '$a profile = 1.2.4'
refused 2 'profile is "1.2.4"; this version knows 1.2.2 alone'
change '$a url-base = http://localhost'
refused 2 "url-base"
change '/^crl-file/d'
refused 2 "need crl-file"
change '/^\[ra-key /,/^$/d; $a require-secured = yes'
refused 2 "require-secured needs a section [ra-key NAME]"
change 's/^decrypt-key/decrypt-keys/'
refused 2 'unknown key "decrypt-keys"'
change 's/^\[ra-key lab\]/[ra-keys]/'
refused 2 "unknown section [ra-keys]"
change '$a application-psids = 0x80,'
refused 2 "not a list of numbers"
change '$a application-psids = 128, 0x81'
expect 0 "$program" --check "$work/other.conf"

# A token without CKM_ECDH1_DERIVE.
cp "$config" "$work/other.conf"
echo "slots.mechanisms = CKM_ECDSA" >>"$work/softhsm2.conf"
refused 3 "[ra-key lab]"
says "$work/err" CKM_ECDH1_DERIVE
echo "provisioning: all as it says"
