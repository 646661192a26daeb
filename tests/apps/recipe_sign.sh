#!/usr/bin/env bash
# Runs the blocks of docs/signing.md, as they stand there, for keys on all four curves in a token.
. "$(dirname "$0")/lib.sh"
PATH=$BUILD_DIR/bin:$PATH

tokens recipe
printf '[provider]\npkcs11-module = %s\npin-source = file:%s/recipe.pin\n' "$module" "$work" \
    >dot2hsm.conf
export DOT2HSM_CONF=$work/dot2hsm.conf

# For one thing only: the public key comes out of the token through the provider.
cat >openssl.cnf <<CONF
openssl_conf = init
[init]
providers = providers
[providers]
default = default_provider
dot2hsm = dot2hsm_provider
[default_provider]
activate = 1
[dot2hsm_provider]
module = $DOT2HSM_MODULES/dot2hsm.so
pkcs11-module = $module
pin-source = file:$work/recipe.pin
activate = 1
CONF

# block NAME: one block of the page, as a script.
block() {
    awk -v name="$1" '$1 == "```sh" && $2 == name { on = 1; next } /^```/ { on = 0 } on' \
        "$SOURCE_DIR/docs/signing.md" >"$1.block"
    [ -s "$1.block" ] || fail "docs/signing.md has no block $1"
}
for name in time signer digest self plain raw coer; do
    block $name
done
# And none that is not run here.
[ "$(grep -c '^```sh' "$SOURCE_DIR/docs/signing.md")" -eq 7 ] || fail "a block is not tested"

# run BLOCK...: each must end well, and a verification must have said so.
run() {
    local name
    for name in "$@"; do
        expect 0 bash -e -u "$name.block"
        case $name in
        time) ;;
        digest) says out "Signature Verified Successfully" ;;
        *) says out "Verified OK" ;;
        esac
    done
}

# A certificate to sign under. It is hashed and nothing else is asked of it here; that an explicit
# certificate is the key's is the subject of sign.sh.
printf '%s' 0003018001010101010101015080000002030303030303030303040404000506 \
    0606068400a983010380007c8001e48003480101000120818308080808080808 \
    08080808080808080808080808080808080808080808080808 | unhex >certificate.oer
export certificate=$work/certificate.oer

for curve in P-256 brainpoolP256r1 P-384 brainpoolP384r1; do
    generate recipe "key-$curve" $curve
    export uri="pkcs11:token=recipe;object=key-$curve" public=$work/$curve.pem
    case $curve in
    *256*) export hash=sha256 size=32 ;;
    *) export hash=sha384 size=48 ;;
    esac
    OPENSSL_CONF=$work/openssl.cnf openssl pkey -in "$uri" -pubout -out "$public"
    run time
    [ "$(stat -c %s time32)" -eq 4 ] || fail "a Time32 has four octets"
    run signer digest self plain raw
    if [ $curve = P-384 ]; then
        expect 1 "$dot2hsm" sign --signer "$certificate" --key "$uri" --out never.coer time32
        says err "NIST P-384"
        [ ! -e never.coer ] || fail "a Signature on NIST P-384"
    else
        run coer
        says out "x-only"
    fi
    # The recipe can fail: another time, the other half, plain for 1609.2.
    openssl dgst -$hash -binary "$certificate" >half2
    printf '\000\000\000\001' >other
    openssl dgst -$hash -binary other | cat - half2 >wrong
    expect 1 openssl dgst -$hash -verify "$public" -signature signature.der wrong
    openssl dgst -$hash -binary time32 | cat - <(openssl dgst -$hash -binary /dev/null) >wrong
    expect 1 openssl dgst -$hash -verify "$public" -signature signature.der wrong
    expect 1 openssl dgst -$hash -verify "$public" -signature signature.der time32
    expect 1 openssl dgst -$hash -verify "$public" -signature plain.der halves
done

done_testing
