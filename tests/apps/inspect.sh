#!/usr/bin/env bash
# dot2hsm inspect, recode and hash, on octets that are known.
. "$(dirname "$0")/lib.sh"

# IEEE 1609.2's sample certificate (TestCertificate.coer.hex): implicit, linkageData, region, BSM.
cat >cert.hex <<'HEX'
000301800101010101010101508000000203030303030303030304040400
05060606068400a983010380007c8001e480034801010001208183080808
0808080808080808080808080808080808080808080808080808080808
HEX
unhex <cert.hex >cert.oer
base64 <cert.oer >cert.b64
# SecuredRACertRequest, complete.
echo '03 80 05 01 83 80 00 01' >ra.hex
unhex <ra.hex >ra.oer

# The three forms of a file give the same tree.
for form in hex oer b64; do
    expect 0 "$dot2hsm" inspect cert.$form
    says out "ImplicitCertificate (guessed), 89 octets"
    sed 1d out >tree.$form
done
same tree.hex tree.oer
same tree.b64 tree.oer
expect 0 "$dot2hsm" inspect cert.hex
says out "from hexadecimal"
says out "HashedId8 30df51cdaa1cbd36"
says out "start: 101058054  (utc 2007-03-15T15:40:53Z)"
says out "end 2007-03-22T16:40:53Z"
says out "hours: 169"
says out "      48            countryOnly: 840  (country United States of America)"
says out "psid: 32  (hex 0x20, service vehicle to vehicle safety and awareness (BSM))"
says out "reconstructionValue: compressed-y-1"
expect 0 "$dot2hsm" inspect - <cert.b64
says out "from Base64"

# A payload is opened where it stands, with offsets of the whole.
expect 0 "$dot2hsm" inspect ra.hex
says out "It is a SecuredRACertRequest."
says out "       3        contains ScmsPDU"
says out "       7                version: 1"

# A type that is named is not guessed; names of the protocol work; a wrong one is refused.
expect 0 "$dot2hsm" inspect --type ImplicitCertificate cert.oer
grep -q guessed out && fail "guessed although named"
expect 0 "$dot2hsm" inspect --type SecuredRACertRequest ra.oer
expect 1 "$dot2hsm" inspect --type SignedAuthenticatedDownloadRequest ra.oer
says err "is a SecuredRACertRequest"
printf '\032\053\074\115' >time32
expect 0 "$dot2hsm" inspect time32
says out "Time32 (guessed)"
says out "439041101  (utc 2017-11-29T11:51:36Z)"
# What is text only by accident is taken as it is where it decodes: these are Time32, too.
for text in 1234 +7ab '+7 a' '3Bz!'; do
    printf %s "$text" >time32
    expect 0 "$dot2hsm" inspect time32
    says out "Time32 (guessed), 4 octets, from COER"
    expect 0 "$dot2hsm" inspect --type Time32 time32
    says out "from COER"
done
printf '\032\053\074\115' >time32
echo 1a2b3c4d >time32.hex
expect 0 "$dot2hsm" inspect --type Time32 time32.hex
says out "439041101"
says out "from hexadecimal"
expect 0 "$dot2hsm" inspect --list-types
says out SignedCertificateRequest
says out LocalPolicyFile

# A tbsRequest of an authenticated download request, from its byte layout.
printf '0183 88 00 1A2B3C4D 14' | unhex >download.oer
printf 'AB09281C9867DE53.zip' >>download.oer
expect 0 "$dot2hsm" inspect download.oer
says out 'filename: "AB09281C9867DE53.zip"'
says out "timestamp: 439041101"

# JSON: well-formed, and the same values.
for file in cert.oer ra.oer download.oer time32; do
    expect 0 "$dot2hsm" inspect --json $file
    python3 -m json.tool <out >/dev/null || fail "$file: not JSON"
    # Nor may a node have two members of one name.
    python3 - <<'PYTHON' || fail "$file: a name twice"
import json
def unique(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)
json.load(open("out"), object_pairs_hook=unique)
PYTHON
done
expect 0 "$dot2hsm" inspect --json ra.oer
python3 - out <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1]))
assert document["type"] == "Ieee1609Dot2Data" and document["guessed"] is True, document
assert document["message"] == "SecuredRACertRequest" and document["size"] == 8
data = document["tree"][0]
version, content = data["members"]
assert version["name"] == "protocolVersion" and version["value"] == 3 and version["offset"] == 0
assert content["alternative"] == "unsecuredData"
payload = content["members"][0]
assert payload["value"] == "0183800001"
pdu = payload["contains"][0]
assert pdu["type"] == "ScmsPDU" and pdu["offset"] == 3 and pdu["size"] == 5, pdu
PYTHON
# A host name of control characters and quotes is still JSON.
printf '0183 88 00 1A2B3C4D 04 22 5c 0a c3' | unhex >name.oer
printf '\251' >>name.oer
sed -i 's/\x04\x22/\x05\x22/' name.oer
expect 0 "$dot2hsm" inspect --json name.oer
python3 - out <<'PYTHON'
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
assert '\\"\\\\\\u000a\u00e9' in text, text
json.loads(text)
PYTHON

# What is not right: one error with field and offset, status 1, and nothing on stdout.
refused() { # refused TEXT ARGUMENT...
    local text=$1
    shift
    expect 1 "$dot2hsm" "$@"
    one_error
    says err "$text"
    [ ! -s out ] || fail "output in spite of an error"
}
for size in 0 1 2 30 60 88; do
    head -c "$size" cert.oer >short.oer
    if [ "$size" -eq 0 ]; then
        refused "is empty" inspect short.oer
    else
        refused "at octet" inspect --type Certificate --input coer short.oer
    fi
done
(cat cert.oer; printf '\000') >long.oer
refused "Certificate: at octet 89: octets follow the value" inspect --type Certificate long.oer
refused "of no type that is looked for" inspect long.oer
printf '01 05 00' | unhex >junk.oer
refused "at octet" inspect junk.oer
echo '0380050' >odd.hex
refused "odd number" inspect odd.hex
echo '03 80 05 01 83 80 00 0x' >bad.hex
refused "(as Base64): of no type" inspect bad.hex
refused "at octet 22: not a hexadecimal digit" inspect --input hex bad.hex
echo 'what is this?' >words
refused "neither hexadecimal" inspect words
echo 'A4AFAYOAAAE' >bad.b64
refused "Base64: at octet" inspect bad.b64
refused "No such file" inspect nothing.oer
# A signedCertificateRequest must contain one: the offset is that of the whole input.
printf '03 83 03 00 01 83' | unhex >request.oer
refused "SignedCertificateRequest" inspect request.oer
sed -n '1p' err | grep -Eq 'at octet [3-6]' || fail "the offset is not that of the input"

# Usage.
expect 2 "$dot2hsm" inspect
says err "one FILE is wanted"
expect 2 "$dot2hsm" inspect cert.oer ra.oer
expect 2 "$dot2hsm" inspect --type Certifikate cert.oer
says err 'unknown type "Certifikate"'
expect 2 "$dot2hsm" inspect --input xer cert.oer
expect 2 "$dot2hsm" inspect --jason cert.oer
for command in inspect recode hash; do
    expect 0 "$dot2hsm" $command --help
    says out "Usage: dot2hsm $command"
done

# recode: the canonical encoding of what was decoded.
expect 0 "$dot2hsm" recode --type Certificate cert.hex
same out cert.oer
expect 0 "$dot2hsm" recode --type Ieee1609Dot2Data --out again.oer ra.hex
same again.oer ra.oer
refused "at octet 0" recode --type Certificate ra.oer
[ ! -e never.oer ] || fail "there already"
refused "Ieee1609Dot2Data" recode --type Ieee1609Dot2Data --out never.oer long.oer
[ ! -e never.oer ] || fail "written in spite of an error"
expect 2 "$dot2hsm" recode cert.oer
says err "--type is missing"
expect 2 "$dot2hsm" recode --type Nothing cert.oer
# An addition of a later edition is skipped, not written, and said.
printf '01 83 88 80 1A2B3C4D 01 41 02 07 80 01 FF' | unhex >later.oer
expect 0 "$dot2hsm" recode --type ScmsPDU later.oer
says err "additions of a later edition"
printf '01 83 88 00 1A2B3C4D 01 41' | unhex >plain.oer
same out plain.oer

# hash: of certificates in canonical form, of everything else as it is.
sha=$(sha256sum <cert.oer | cut -d' ' -f1)
expect 0 "$dot2hsm" hash cert.hex
says out "$sha"
says out "HashedId8   30df51cdaa1cbd36"
says out "HashedId10  92ae30df51cdaa1cbd36"
says out "HashedId3   1cbd36"
says out "form        canonical"
sha=$(sha256sum <ra.oer | cut -d' ' -f1)
expect 0 "$dot2hsm" hash --json ra.oer
[ "$(python3 -c 'import json; print(json.load(open("out"))["hash"])')" = "$sha" ] ||
    fail "another hash"
[ "$(python3 -c 'import json; print(json.load(open("out"))["HashedId8"])')" = "${sha: -16}" ] ||
    fail "another HashedId8"
refused "of no type" hash junk.oer
expect 2 "$dot2hsm" hash

done_testing
