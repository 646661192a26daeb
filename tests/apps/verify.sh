#!/usr/bin/env bash
# dot2hsm verify: certificates and signed messages that are right, and each way of not being.
. "$(dirname "$0")/lib.sh"

"$dot2hsm" lab init lab >/dev/null
"$dot2hsm" lab init stranger >/dev/null
trust="--root lab/trust/root.oer --cert lab/trust"
verify() {
    # shellcheck disable=SC2086
    "$dot2hsm" verify $trust "$@"
}
# not STATUS ARGUMENT...: not valid, for this reason, which is said once on each stream.
not() {
    local status=$1
    shift
    expect 1 verify "$@"
    says out "NOT valid: $status"
    says err "$status"
    one_error
}
rse=lab/rse/enrollment.oer
obe=lab/obe/enrollment.oer

expect 0 verify $rse
says out "ExplicitCertificate: valid"
[ "$(grep -c '^  [0-3]  ' out)" -eq 4 ] || fail "not a chain of four"
! grep -q implicit out || fail "an explicit certificate is said to be implicit"
expect 0 verify $obe
says out "is proven only by a signature under it"
expect 0 verify --json $obe
python3 - <<'PYTHON'
import json
verdict = json.load(open("out"))
assert verdict["valid"] is True and len(verdict["chain"]) == 4, verdict
assert verdict["proven"] is False
assert [c["implicit"] for c in verdict["chain"]] == [True, False, False, False]
assert [c["anchor"] for c in verdict["chain"]] == [False, False, False, True]
PYTHON
# An anchor is whichever certificate is named so: the chain ends there.
expect 0 "$dot2hsm" verify --root lab/trust/eca.oer $rse
[ "$(grep -c '^  [0-9]  ' out)" -eq 2 ] || fail "not a chain of two"
expect 0 "$dot2hsm" verify --root $rse $rse
# Intermediates as files, in any form.
base64 <lab/trust/ica.oer >ica.b64
expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert ica.b64 --cert lab/trust/eca.oer $rse

# Time.
expect 0 verify --at "$(date -u -d '+1 year' +%Y-%m-%dT%H:%M:%SZ)" $rse
not DOT2_E_EXPIRED --at "$(date -u -d '+5 years' +%Y-%m-%dT%H:%M:%SZ)" $rse
not DOT2_E_NOT_YET_VALID --at 2020-01-01T00:00:00Z $rse
not DOT2_E_NOT_YET_VALID --at 504921605 $obe
expect 0 verify --only signature --at 2020-01-01T00:00:00Z $rse
says out "signatures only"
expect 2 verify --at yesterday $rse
expect 2 verify --only time $rse

# Issuer.
expect 1 "$dot2hsm" verify --root lab/trust/root.oer $rse
says out DOT2_E_ISSUER_UNKNOWN
not DOT2_E_ISSUER_UNKNOWN stranger/rse/enrollment.oer
expect 1 "$dot2hsm" verify --root stranger/trust/root.oer --cert stranger/trust --cert lab/trust $rse
says out DOT2_E_ISSUER_UNKNOWN

# One bit of the signature, one of what is signed.
python3 - <<'PYTHON'
octets = bytearray(open("lab/rse/enrollment.oer", "rb").read())
octets[-1] ^= 1
open("bit-s", "wb").write(octets)
octets[-1] ^= 1
name = octets.index(bytes.fromhex("0348"))  # 840, of the region
octets[name + 1] = 0x49
open("bit-region", "wb").write(octets)
PYTHON
not DOT2_E_ISSUER_SIGNATURE bit-s
expect 1 verify bit-region
expect 1 verify --json bit-s
python3 - <<'PYTHON'
import json
verdict = json.load(open("out"))
assert verdict["valid"] is False and verdict["status"] == "DOT2_E_ISSUER_SIGNATURE", verdict
PYTHON

# What is not a certificate and not signed.
printf '\003\200\005\001\203\200\000\001' >unsecured
expect 1 verify unsecured
says err "neither a certificate nor signed"
one_error
printf '\032\053\074\115' >time32
expect 1 verify time32
expect 1 verify nothing
head -c 100 $rse >short
expect 1 verify short
says err "at octet"
expect 1 "$dot2hsm" verify --root time32 $rse
expect 1 "$dot2hsm" verify --root lab/trust/root.oer --cert nothing $rse
expect 2 "$dot2hsm" verify $rse
says err "--root is missing"
expect 2 verify
expect 2 verify --purpose signing $rse

# A SignedCertificateRequest, put together here from its parts: what `dot2hsm sign` makes is the
# signature in it.
make_spdu() {
    python3 "$SOURCE_DIR/tests/apps/spdu.py" "$@"
}
make_spdu tbs-download AB09281C9867DE53.zip tbs
spdu() { # spdu CERTIFICATE KEY OUT
    "$dot2hsm" sign --signer "$1" --key "$2" --out signature tbs
    make_spdu request tbs "$1" signature "$3"
}
for device in rse obe; do
    spdu lab/$device/enrollment.oer lab/$device/enrollment.key $device.spdu
    expect 0 verify $device.spdu
    says out "SignedAuthenticatedDownloadRequest: valid"
    ! grep -q "proven only" out || fail "a signature under it proves it"
    expect 0 "$dot2hsm" inspect $device.spdu
    says out "It is a SignedAuthenticatedDownloadRequest."
    says out 'filename: "AB09281C9867DE53.zip"'
    base64 <$device.spdu >$device.b64
    expect 0 verify $device.b64
done
python3 - <<'PYTHON'
octets = bytearray(open("rse.spdu", "rb").read())
octets[-1] ^= 1
open("flipped", "wb").write(octets)
PYTHON
not DOT2_E_SIGNATURE flipped
# Signed by a certificate that is no enrollment certificate.
spdu lab/trust/ra.oer lab/ra/sign.key ra.spdu
not DOT2_E_PERMISSION ra.spdu
expect 0 verify --purpose any ra.spdu
# Signed under a stranger's certificate.
spdu stranger/rse/enrollment.oer stranger/rse/enrollment.key stranger.spdu
not DOT2_E_ISSUER_UNKNOWN stranger.spdu

# A signedData, signer by digest: psid 0x23, payload unsecuredData.
printf '\001\203\200\000\001aaa' >payload
make_spdu tbs-data payload tbsdata
"$dot2hsm" sign --signer lab/trust/ra.oer --key lab/ra/sign.key --out signature tbsdata
digest=$("$dot2hsm" hash lab/trust/ra.oer | awk '/HashedId8/ { print $2 }')
make_spdu signed tbsdata "$digest" signature signed
expect 0 verify signed
says out "Ieee1609Dot2Data: valid"
expect 1 "$dot2hsm" verify --root lab/trust/root.oer signed
sed 's/aaa/aab/' signed >changed
not DOT2_E_SIGNATURE changed

# rSig as a compressed point names the same thing: the hashes are those of the x-only form.
for file in signed $rse; do
    expect 0 "$dot2hsm" hash "$file"
    says out "form        canonical"
    grep HashedId out >canonical
    python3 - "$file" <<'PYTHON'
import sys
octets = bytearray(open(sys.argv[1], "rb").read())
assert octets[-66:-64] == b"\x80\x80"
octets[-65] = 0x82
open("compressed", "wb").write(octets)
PYTHON
    expect 0 "$dot2hsm" hash compressed
    says out "not canonical; the canonical form is hashed"
    grep HashedId out >of-compressed
    same canonical of-compressed
done

done_testing
