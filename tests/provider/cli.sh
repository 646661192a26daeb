# cli.sh: the openssl program with keys in a token: what the manual of openssl says, with a URI in
# the place of a file.
. "$(dirname "$0")/lab.sh"

uri() { printf 'pkcs11:token=lab;object=%s' "$1"; }

step "genpkey in the token, and the key file that it writes"
for curve in P-256 P-384 brainpoolP256r1 brainpoolP384r1; do
    ours genpkey -algorithm EC -propquery '?provider=dot2hsm' -pkeyopt "group:$curve" \
        -pkeyopt "pkcs11_uri:$(uri $curve)" -out "$lab/$curve.key"
    ! grep -q "PRIVATE KEY" "$lab/$curve.key" || die "a private key in PEM"
    plain asn1parse -in "$lab/$curve.key" >"$lab/out"
    grep -q "VISIBLESTRING *:PKCS#11 Provider URI v1.0" "$lab/out" || die "$(cat "$lab/out")"
    grep -q "UTF8STRING *:pkcs11:.*;object=$curve;type=private" "$lab/out" ||
        die "$(cat "$lab/out")"
done

step "storeutl"
ours storeutl -noout "pkcs11:token=lab" >"$lab/out"
grep -q "Total found: 8" "$lab/out" || die "storeutl: $(cat "$lab/out")"
[ "$(grep -c ": Pkey" "$lab/out")" -eq 4 ] || die "storeutl: $(cat "$lab/out")"
ours storeutl -noout -keys "$(uri P-256)" | grep -q "Total found: 1"
refused "P11_E_NO_TOKEN" sh -c "OPENSSL_CONF=$lab/openssl.cnf openssl pkey -in 'pkcs11:token=none'"

printf 'what is signed' >"$lab/data"
printf 'the signer' >"$lab/signer"
signer=$(od -An -v -tx1 "$lab/signer" | tr -d ' \n')

for curve in P-256 P-384 brainpoolP256r1 brainpoolP384r1; do
    case $curve in *384*) hash=sha384 ;; *) hash=sha256 ;; esac
    key=$(uri $curve)

    step "$curve: pkey -pubout, -text, -check"
    ours pkey -in "$key" -pubout -out "$lab/public.pem"
    plain pkey -pubin -in "$lab/public.pem" -noout
    ours pkey -in "$key" -pubout -outform DER | plain pkey -pubin -inform DER -noout
    ours pkey -pubin -in "$key" -pubout | cmp - "$lab/public.pem"
    ours pkey -in "$key" -noout -text >"$lab/out"
    grep -q "in a PKCS#11 token" "$lab/out" || die "pkey -text"
    ! grep -q "^priv:" "$lab/out" || die "pkey -text shows a private number"
    ours pkey -in "$key" -noout -check >/dev/null
    ours pkey -in "$key" | cmp - "$lab/$curve.key" || die "pkey does not write the key file"
    ours ec -in "$key" 2>/dev/null | cmp - "$lab/$curve.key" || die "ec does not"
    refused "stays in the token" ours pkey -in "$key" -outform DER
    ours pkey -in "$lab/$curve.key" -pubout | cmp - "$lab/public.pem" || die "the key of the file"
    ours pkey -pubin -in "$lab/$curve.key" -pubout | cmp - "$lab/public.pem" || die "its public half"

    step "$curve: dgst, plain"
    for any in sha224 sha256 sha384 sha512 $hash; do
        ours dgst -$any -sign "$key" -out "$lab/signature" "$lab/data"
        plain dgst -$any -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data" \
            >/dev/null
    done
    ours dgst -$hash -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data" >/dev/null
    ours dgst -$hash -prverify "$key" -signature "$lab/signature" "$lab/data" >/dev/null
    refused "digest not supported" ours dgst -sha3-256 -sign "$key" "$lab/data"
    refused "digest is not the curve's" ours dgst -sha512 -sign "$key" \
        -sigopt "hexdot2-signer:$signer" "$lab/data"

    step "$curve: dgst with dot2-signer, verified by hand"
    for option in "hexdot2-signer:$signer" "dot2-signer:the signer" "hexdot2-signer:"; do
        ours dgst -$hash -sign "$key" -sigopt "$option" -out "$lab/signature" "$lab/data"
        case $option in *:) : >"$lab/half" ;; *) cp "$lab/signer" "$lab/half" ;; esac
        {
            plain dgst -$hash -binary "$lab/data"
            plain dgst -$hash -binary "$lab/half"
        } | plain dgst -$hash -binary >"$lab/digest"
        plain pkeyutl -verify -pubin -inkey "$lab/public.pem" -in "$lab/digest" \
            -sigfile "$lab/signature" >/dev/null
        ours dgst -$hash -propquery '?provider=dot2hsm' -verify "$lab/public.pem" \
            -sigopt "$option" -signature "$lab/signature" "$lab/data" >/dev/null
        refused "verif" ours dgst -$hash -propquery '?provider=dot2hsm' \
            -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data"
        refused "verif" plain dgst -$hash -verify "$lab/public.pem" \
            -signature "$lab/signature" "$lab/data"
    done
    ours dgst -$hash -sign "$key" -sigopt signature-format:p1363 -out "$lab/signature" "$lab/data"
    case $curve in *384*) size=96 ;; *) size=64 ;; esac
    [ "$(wc -c <"$lab/signature")" -eq $size ] || die "p1363 is not $size octets"

    step "$curve: pkeyutl on a ready digest"
    plain dgst -$hash -binary "$lab/data" >"$lab/digest"
    ours pkeyutl -sign -inkey "$key" -in "$lab/digest" -out "$lab/signature"
    plain pkeyutl -verify -pubin -inkey "$lab/public.pem" -in "$lab/digest" \
        -sigfile "$lab/signature" >/dev/null
    refused "ready digest" ours pkeyutl -sign -inkey "$key" -in "$lab/digest" \
        -pkeyopt "hexdot2-signer:$signer"

    step "$curve: a key of another provider, with -propquery"
    plain genpkey -algorithm EC -pkeyopt "group:$curve" -out "$lab/software.pem"
    ours dgst -$hash -propquery '?provider=dot2hsm' -sign "$lab/software.pem" \
        -sigopt "hexdot2-signer:$signer" -out "$lab/signature" "$lab/data"
    plain pkey -in "$lab/software.pem" -pubout -out "$lab/software.pub"
    {
        plain dgst -$hash -binary "$lab/data"
        plain dgst -$hash -binary "$lab/signer"
    } | plain dgst -$hash -binary >"$lab/digest"
    plain pkeyutl -verify -pubin -inkey "$lab/software.pub" -in "$lab/digest" \
        -sigfile "$lab/signature" >/dev/null
    refused "parameter" ours dgst -$hash -sign "$lab/software.pem" \
        -sigopt "hexdot2-signer:$signer" "$lab/data"

    step "$curve: req -x509, and the certificate back from the token"
    ours req -x509 -key "$key" -subj "/CN=$curve" -days 1 -out "$lab/$curve.crt" 2>"$lab/err" ||
        die "req: $(cat "$lab/err")"
    plain verify -CAfile "$lab/$curve.crt" "$lab/$curve.crt" >/dev/null
    ours req -new -key "$key" -subj "/CN=$curve" -out "$lab/request"
    plain req -in "$lab/request" -noout -verify 2>/dev/null
done

step "a certificate beside its key"
plain x509 -in "$lab/P-256.crt" -outform DER -out "$lab/P-256.der"
pkcs11-tool --module $module --login --pin $pin --write-object "$lab/P-256.der" --type cert \
    --label P-256 >/dev/null 2>&1
ours storeutl -certs "$(uri P-256)" | plain x509 | cmp - "$lab/P-256.crt"
ours storeutl -noout "$(uri P-256)" >"$lab/out"
printf '0: Pkey\n1: Public key\n2: Certificate\nTotal found: 3\n' | cmp - "$lab/out" ||
    die "private before public before certificate: $(cat "$lab/out")"
ours x509 -in "$(uri P-256)" -noout -subject | grep -Eq "CN ?= ?P-256"

step "a store of trusted certificates in the token, with its keys, and what storeutl searches for"
ours verify -CAstore "pkcs11:token=lab" "$lab/P-256.crt" >"$lab/out" 2>&1 || die "$(cat "$lab/out")"
refused "self-signed certificate" ours verify -CAstore "pkcs11:token=lab" "$lab/P-384.crt"
# finds COUNT OPTION...: only certificates are searched for by a subject, or issuer and number.
finds() {
    count=$1
    shift
    ours storeutl -noout "$@" "pkcs11:token=lab" >"$lab/out"
    grep -q "Total found: $count" "$lab/out" && ! grep -q key "$lab/out" ||
        die "storeutl $*: $(cat "$lab/out")"
}
serial=$(plain x509 -in "$lab/P-256.crt" -noout -serial)
finds 1 -subject /CN=P-256
finds 0 -subject /CN=P-384
finds 1 -issuer /CN=P-256 -serial "0x${serial#*=}"
finds 0 -issuer /CN=P-256 -serial 7
finds 0 -issuer /CN=P-384 -serial "0x${serial#*=}"
refused "support" ours storeutl -noout -alias P-256 "pkcs11:token=lab"

step "each path attribute of RFC 7512, as it is and as it is not"
# What the tools of others tell about the token's slot and about the module.
softhsm2-util --show-slots >"$lab/slots"
slot=$(awk '/^Slot / { slot = $2 } /Label: +lab *$/ { print slot }' "$lab/slots")
# field NAME [N]: the Nth of that name in the token's slot, percent-encoded where it must be.
field() {
    sed -n "/^Slot $slot\$/,/^Slot /s/^ *$1: *\(.*[^ ]\) *\$/\1/p" "$lab/slots" | sed -n "${2:-1}p" |
        sed 's/ /%20/g'
}
pkcs11-tool --module $module --show-info >"$lab/info" 2>/dev/null
library() { sed -n "s/^$1 *\(.*\) (ver .*/\1/p; s/^$1  *\([^(]*\)\$/\1/p" "$lab/info" | sed 's/ /%20/g'; }
id=$(plain asn1parse -in "$lab/P-256.key" | sed -n 's/.*UTF8STRING.*;id=\([^;]*\).*/\1/p')
tried=0
while read -r attribute value other; do
    [ -n "$value" ] || die "$attribute: no value to try"
    ours storeutl -noout "$(uri P-256);type=public;$attribute=$value" >"$lab/out" 2>"$lab/err" || true
    grep -q "Total found: 1" "$lab/out" || die "$attribute=$value: $(cat "$lab/out" "$lab/err")"
    ours storeutl -noout "$(uri P-256);type=public;$attribute=$other" >"$lab/out" 2>"$lab/err" || true
    ! grep -q "Total found: [^0]" "$lab/out" || die "$attribute=$other: $(cat "$lab/out")"
    grep -Eq "P11_E_NO_TOKEN|no object matches" "$lab/err" || die "$attribute=$other: $(cat "$lab/err")"
    tried=$((tried + 1))
done <<LIST
manufacturer $(field 'Manufacturer ID' 2) SoftHSM
model $(field Model) SoftHSM%20v3
serial $(field 'Serial number') 0000000000000000
id $id %00
slot-id $slot $((slot + 1))
slot-manufacturer $(field 'Manufacturer ID') SoftHSM
slot-description $(field Description) slot
library-manufacturer $(library Manufacturer) OpenSC
library-description $(library Library) PKCS11
library-version $(sed -n 's/.*(ver \(.*\))/\1/p' "$lab/info") 9.9
LIST
[ "$tried" -eq 10 ] || die "$tried attributes tried"
# token, object and type are in each of these: now as they are not.
for wrong in "token=lib;object=P-256" "token=lab;object=p-256" "token=lab;object=brainpoolP256r1;type=cert"; do
    ours storeutl -noout "pkcs11:$wrong" >"$lab/out" 2>&1 || true
    ! grep -q "Total found: [^0]" "$lab/out" || die "$wrong: $(cat "$lab/out")"
done
ours storeutl -noout "$(uri P-256);type=private" | grep -q "0: Pkey" || die "type=private"
ours storeutl -noout "$(uri P-256);type=public" | grep -q "0: Public key" || die "type=public"
ours storeutl -noout "$(uri P-256);type=cert" | grep -q "0: Certificate" || die "type=cert"

step "a private key without its public object: the certificate of the same CKA_ID has the point"
ours genpkey -algorithm EC -propquery '?provider=dot2hsm' -pkeyopt group:P-256 \
    -pkeyopt "pkcs11_uri:$(uri bare);id=%ba%4e" -out "$lab/bare.key"
ours req -x509 -key "$lab/bare.key" -subj /CN=bare -days 1 -outform DER -out "$lab/bare.der"
pkcs11-tool --module $module --login --pin $pin --delete-object --type pubkey --label bare \
    >/dev/null 2>&1
refused "no public key" ours dgst -sha256 -sign "$(uri bare)" "$lab/data"
pkcs11-tool --module $module --login --pin $pin --write-object "$lab/bare.der" --type cert \
    --label bare --id ba4e >/dev/null 2>&1
for key in "$lab/bare.key" "$(uri bare)"; do
    ours dgst -sha256 -sign "$key" -out "$lab/signature" "$lab/data"
    plain x509 -inform DER -in "$lab/bare.der" -noout -pubkey -out "$lab/public.pem"
    plain dgst -sha256 -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data" >/dev/null
done

step "several keys, no key, no such attribute"
refused "5 private keys" ours pkey -in "pkcs11:token=lab" -noout
# storeutl says what went wrong, and ends with 0 all the same.
ours storeutl -noout "pkcs11:token=lab;type=private" >"$lab/out" 2>&1 || true
grep -q "5 private keys: token=lab;.*object=bare" "$lab/out" || die "storeutl: $(cat "$lab/out")"
! grep -q ": Pkey" "$lab/out" || die "storeutl took one of several"
refused "no object matches" ours pkey -in "$(uri nobody)" -noout
refused "labl" ours pkey -in "pkcs11:token=lab;labl=P-256" -noout

step "options: a missing module, a misspelt option, a wrong PIN and a prompt"
configuration "$lab/none.cnf"
refused "no pkcs11-module is configured" \
    env OPENSSL_CONF="$lab/none.cnf" openssl pkey -in "$(uri P-256)" -noout
printf 'pkcs11-module = %s\nmax-sesions = 3\n' $module >"$lab/dot2hsm.conf"
configuration "$lab/file.cnf" "config = $lab/dot2hsm.conf"
refused "unknown option max-sesions" \
    env OPENSSL_CONF="$lab/file.cnf" openssl pkey -in "$(uri P-256)" -noout
printf 'pkcs11-module = %s\npin-source = file:%s\n' $module "$lab/pin" >"$lab/dot2hsm.conf"
OPENSSL_CONF="$lab/file.cnf" openssl pkey -in "$(uri P-256)" -noout
printf '[program]\nother = thing\n[provider]\npkcs11-module = %s\npin-source = file:%s\n' $module \
    "$lab/pin" >"$lab/dot2hsm.conf"
OPENSSL_CONF="$lab/file.cnf" openssl pkey -in "$(uri P-256)" -noout
configuration "$lab/none.cnf"
DOT2HSM_CONF="$lab/dot2hsm.conf" OPENSSL_CONF="$lab/none.cnf" \
    openssl pkey -in "$(uri P-256)" -noout
printf '[provider]\nother = thing\n' >"$lab/dot2hsm.conf"
refused "unknown option other" \
    env OPENSSL_CONF="$lab/file.cnf" openssl pkey -in "$(uri P-256)" -noout
(umask 077 && printf 000000 >"$lab/wrong")
configuration "$lab/wrong.cnf" "pkcs11-module = $module" "pin-source = file:$lab/wrong"
refused "P11_E_PIN" env OPENSSL_CONF="$lab/wrong.cnf" openssl pkey -in "$(uri P-256)" -noout
configuration "$lab/prompt.cnf" "pkcs11-module = $module"
OPENSSL_CONF="$lab/prompt.cnf" openssl pkey -in "$(uri P-256)" -passin "pass:$pin" -noout
refused "P11_E_PIN" \
    env OPENSSL_CONF="$lab/prompt.cnf" openssl pkey -in "$(uri P-256)" -passin pass:000000 -noout

step "s_server with the key in the token"
for version in tls1_2 tls1_3; do
    : >"$lab/server.log" # it is read before the server may have opened it
    OPENSSL_CONF="$lab/openssl.cnf" openssl s_server -key "$(uri P-256)" -cert "$lab/P-256.crt" \
        -provider default -provider dot2hsm -accept 127.0.0.1:0 -$version -www \
        >>"$lab/server.log" 2>&1 &
    background=$!
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$lab/server.log")
        [ -z "$port" ] || break
        kill -0 $background 2>/dev/null || die "s_server: $(cat "$lab/server.log")"
        sleep 0.1
    done
    [ -n "$port" ] || die "s_server does not listen: $(cat "$lab/server.log")"
    # TLS 1.2 takes what the client likes best.
    plain s_client -connect "127.0.0.1:$port" -$version -CAfile "$lab/P-256.crt" \
        -sigalgs ECDSA+SHA512:ECDSA+SHA384:ECDSA+SHA256 -verify_return_error </dev/null \
        >"$lab/out" 2>&1 || die "s_client: $(cat "$lab/out")"
    grep -q "Verify return code: 0 (ok)" "$lab/out" || die "s_client: $(cat "$lab/out")"
    kill $background
    wait $background 2>/dev/null || true
    background=
done
echo "all steps passed"
