#!/usr/bin/env bash
# Runs the blocks of docs/tshark.md on SPDUs of each kind: tshark dissects them, nothing malformed,
# and shows what is in them.
. "$(dirname "$0")/lib.sh"
command -v tshark >/dev/null || fail "tshark is not installed"
HOME=$work
export HOME
make_spdu() {
    python3 "$SOURCE_DIR/tests/apps/spdu.py" "$@"
}

# block NAME: one block of the page, as a script.
for name in wrap show malformed; do
    awk -v name="$name" '$1 == "```sh" && $2 == name { on = 1; next } /^```/ { on = 0 } on' \
        "$SOURCE_DIR/docs/tshark.md" >$name.block
    [ -s $name.block ] || fail "docs/tshark.md has no block $name"
done

# dissect SPDU: the tree is in out; nothing in it is malformed.
dissect() {
    export spdu=$work/$1
    expect 0 "$dot2hsm" inspect --type Ieee1609Dot2Data "$spdu"
    expect 0 bash -e wrap.block
    expect 0 bash -e malformed.block
    [ ! -s out ] || { cat out; fail "$1: something is malformed"; }
    expect 0 bash -e show.block
    says out "Ieee1609Dot2Data"
    ! grep -qi malformed out || fail "$1: malformed"
}

"$dot2hsm" lab init lab >/dev/null
hashedid8() {
    "$dot2hsm" hash "$1" | awk '/HashedId8/ { print $2 }'
}

# unsecuredData: SecuredRACertRequest.
printf '\003\200\005\001\203\200\000\001' >unsecured
dissect unsecured
says out "content: unsecuredData (0)"
says out "unsecuredData: 0183800001"

# signedCertificateRequest: what an EE signs to download.
make_spdu tbs-download AB09281C9867DE53.zip tbs
"$dot2hsm" sign --signer lab/rse/enrollment.oer --key lab/rse/enrollment.key --out signature tbs
make_spdu request tbs lab/rse/enrollment.oer signature request
expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust request
dissect request
says out "content: signedCertificateRequest (3)"

# signedData, with each kind of certificate as signer, and with a digest.
printf '\001\203\200\000\001' >payload
make_spdu tbs-data payload tbsdata
for name in ma pca; do
    cert=lab/trust/$name.oer
    "$dot2hsm" sign --signer $cert --key lab/ca/$name.key --out signature tbsdata
    make_spdu signed tbsdata $cert signature signed
    expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust signed
    dissect signed
    says out "content: signedData (1)"
    says out "unsecuredData: 0183800001"
    says out "(35)"
    says out "signer: certificate (1)"
    says out "ecdsaNistP256Signature"
    says out "x-only"
    says out "name: $name.lab.test"
    says out "countryOnly: 840"
    says out "verificationKey"
    case $name in
    ma) says out "encryptionKey" ;;
    *) says out "certIssuePermissions" ;;
    esac
    # A field that it can be asked for has the certificate's value.
    tshark -o 'uat:user_dlts:"User 0 (DLT=147)","ieee1609dot2.data","0","","0",""' \
        -r packet.pcap -T fields -e ieee1609dot2.cracaId 2>/dev/null | tr -d ':' >out
    says out "$("$dot2hsm" inspect $cert | awk '/cracaId:/ { print $3 }')"
done
cp signed whole

# An implicit certificate: the standard's own sample, under which nobody can sign.
printf '%s' 0003018001010101010101015080000002030303030303030303040404000506 \
    0606068400a983010380007c8001e48003480101000120818308080808080808 \
    08080808080808080808080808080808080808080808080808 | unhex >sample.oer
make_spdu signed tbsdata sample.oer signature implicit
dissect implicit
says out "type: implicit (1)"
says out "linkageData"
says out "reconstructionValue"

# Where minChainLength, chainLengthRange or eeType is encoded, tshark 4.0 stops and says that this is
# a bug or a gap of its own (docs/tshark.md). It may say that and nothing else; a tshark without them
# says nothing.
for cert in trust/root trust/ica trust/eca trust/ra rse/enrollment obe/enrollment; do
    make_spdu signed tbsdata lab/$cert.oer signature signed
    export spdu=$work/signed
    expect 0 "$dot2hsm" inspect --type Ieee1609Dot2Data signed
    expect 0 bash -e wrap.block
    expect 0 bash -e malformed.block
    ! grep -Ev 'Dissector bug, .*: field ieee1609dot2.(min)?[cC]hainLength|OER: Encoding of bitstring' \
        out ||
        fail "$cert: something is malformed"
    expect 0 bash -e show.block
    says out "signer: certificate (1)"
    says out "countryOnly: 840"
done
make_spdu signed tbsdata "$(hashedid8 lab/trust/ra.oer)" signature digest
dissect digest
says out "signer: digest (0)"
says out "digest: $(hashedid8 lab/trust/ra.oer)"

# encryptedData to the RA's certificate.
head -c 300 /dev/urandom >ciphertext
make_spdu encrypted "$(hashedid8 lab/trust/ra.oer)" ciphertext encrypted
dissect encrypted
says out "content: encryptedData (2)"
says out "certRecipInfo"
says out "recipientId: $(hashedid8 lab/trust/ra.oer)"
says out "eciesNistP256"
says out "aes128ccm"

# The check can fail: an SPDU that ends early is malformed to tshark, too, and refused by us.
head -c 100 whole >short
expect 1 "$dot2hsm" inspect --type Ieee1609Dot2Data short
export spdu=$work/short
expect 0 bash -e wrap.block
expect 0 bash -e malformed.block
[ -s out ] || fail "a truncated SPDU is not malformed to tshark"

done_testing
