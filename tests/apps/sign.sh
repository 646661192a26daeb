#!/usr/bin/env bash
# dot2hsm sign: what it refuses, and that a key in a token signs what it is asked to.
. "$(dirname "$0")/lib.sh"

tokens one two
generate one enrollment P-256
generate one nist384 P-384
generate one pool384 brainpoolP384r1
generate two other P-256
printf '[provider]\npkcs11-module = %s\ntoken = pkcs11:token=one\npin-source = file:%s/one.pin\n' \
    "$module" "$work" >one.conf
printf '\032\053\074\115' >time32
openssl ecparam -genkey -name prime256v1 -noout -out software.pem
key=pkcs11:token=one\;object=enrollment
sign() {
    "$dot2hsm" sign --config "$work/one.conf" "$@"
}

# Which digest is never guessed.
expect 2 sign --key "$key" time32
says err "one of --signer FILE, --self and --plain is wanted"
expect 2 sign --self --plain --key "$key" time32
expect 2 sign --self --signer x --key "$key" time32
expect 2 sign --self time32
says err "--key is missing"
expect 2 sign --self --key "$key"
expect 2 sign --self --key "$key" time32 time32
expect 2 sign --self --format pem --key "$key" time32
expect 2 sign --plain --format coer --key "$key" time32
says err "is no Signature of IEEE 1609.2"
expect 2 sign --slef --key "$key" time32
expect 0 "$dot2hsm" sign --help

# Forms and their sizes; the COER form decodes.
expect 0 sign --self --key "$key" time32
[ "$(stat -c %s out)" -eq 66 ] || fail "66 octets"
cp out signature
expect 0 "$dot2hsm" inspect --type Signature signature
says out ecdsaNistP256Signature
says out "x-only"
expect 0 sign --self --format raw --key "$key" --out signature time32
[ "$(stat -c %s signature)" -eq 64 ] || fail "64 octets"
expect 0 sign --plain --key "$key" --out signature time32
openssl asn1parse -inform DER -in signature >/dev/null || fail "not DER"
expect 0 sign --plain --format raw --key "$key" --out signature time32
[ "$(stat -c %s signature)" -eq 64 ] || fail "64 octets"
expect 0 sign --self --key 'pkcs11:token=one;object=pool384' --out signature time32
expect 0 "$dot2hsm" inspect --type Signature signature
says out ecdsaBrainpoolP384r1Signature
expect 0 sign --self --format raw --key 'pkcs11:token=one;object=nist384' --out signature time32
[ "$(stat -c %s signature)" -eq 96 ] || fail "96 octets"
expect 0 sign --self --key "$key" - <time32
expect 0 sign --self --key "$key" /dev/null

# NIST P-384 has no alternative in the type.
expect 1 sign --self --key 'pkcs11:token=one;object=nist384' --out never time32
one_error
says err "NIST P-384"
says err DOT2_E_ALGORITHM
[ ! -e never ] || fail "written in spite of an error"

# A software key signs too, in the same provider; a curve that is none of the four does not.
expect 0 sign --self --key software.pem time32
expect 0 sign --self --key "file:$work/software.pem" time32
openssl ecparam -genkey -name secp256k1 -noout -out other.pem 2>/dev/null
expect 1 sign --self --key other.pem time32
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
expect 1 sign --self --key rsa.pem time32

# A signer that is not the key's, not a certificate, not there.
"$dot2hsm" lab init lab >/dev/null
expect 0 sign --signer lab/rse/enrollment.oer --key lab/rse/enrollment.key time32
expect 1 sign --signer lab/rse/enrollment.oer --key "$key" time32
one_error
says err DOT2_E_KEY_MISMATCH
expect 1 sign --signer time32 --key "$key" time32
says err "at octet"
expect 1 sign --signer nothing --key "$key" time32

# Keys and tokens that are not there, and PINs that are not right. The exit status tells them apart
# from a mistake on the command line.
expect 1 sign --self --key "$key" nothing
for uri in 'pkcs11:token=one;object=missing' 'pkcs11:token=none;object=enrollment' \
    'pkcs11:token=one;objekt=enrollment' missing.pem; do
    got=0
    sign --self --key "$uri" --out never time32 >out 2>err || got=$?
    [ $got -ne 0 ] || fail "$uri: status 0"
    [ -s err ] || fail "$uri: nothing is said"
    [ ! -e never ] || fail "$uri: signed"
done
# The key of the other token needs the other PIN: one wrong try, no signature, no PIN in the text.
got=0
sign --self --key 'pkcs11:token=two;object=other' --out never time32 >out 2>err || got=$?
[ $got -ne 0 ] && [ ! -e never ] || fail "signed with the PIN of another token"
! grep -q "pin-of" err || fail "a PIN in an error text"
expect 0 "$dot2hsm" sign --module "$module" --pin-source "file:$work/two.pin" --self \
    --key 'pkcs11:token=two;object=other' time32
printf '[provider]\npkcs11-modul = x\n' >bad.conf
expect 2 "$dot2hsm" sign --config bad.conf --self --key "$key" time32
says err "pkcs11-modul"

done_testing
