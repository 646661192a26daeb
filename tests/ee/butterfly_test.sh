#!/usr/bin/env bash
# Pseudonym and identification certificates by ee sync: the whole way over TLS to signatures that
# verify; further batches without another request; renewal; and what is refused.
#   butterfly_test.sh [file|token|assembled]
# token: the response encryption seed keys are in a token. assembled: all keys are, the verification
# seed keys as files that are sealed to keys in it, those of the certificates as they were computed.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
keys=${1:-file}
sync_lab
conf=$work/device.conf
state=$work/state
store=$lab/ra/download
{
    echo "[provider]"
    if [ "$keys" != file ]; then
        tokens rse
        echo "pkcs11-module = $softhsm"
        echo "pin-source = file:$work/rse.pin"
    fi
    sed -n '/^\[ee\]/,$p' "$lab/obe.conf" | sed -e '/^state-dir/d' -e '/^provision/d'
    echo "state-dir = $state"
    echo "provision = pseudonym, identification"
    echo "hook = sh $work/hook.sh"
    [ "$keys" != token ] || echo "response-token = pkcs11:token=rse"
    [ "$keys" != assembled ] ||
        printf 'application-token = pkcs11:token=rse\nassemble-key-on-host = yes\n'
} >"$conf"
echo 'echo "$DOT2HSM_CHANGED" >>"${0%.sh}"' >"$work/hook.sh"
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
json() { python3 -c "import json; o=json.load(open('$work/out')); print($1)"; }
cas() { "$dot2hsm" lab run --once "$lab" >>"$work/cas.log"; }
# What is of the past does not count: the tests of limits are in sync_test.sh.
# A download that was put off is due. (Time32: seconds since 2004, and 5 leap seconds.)
calm() {
    sed -i "/^failure /d; s/-download-time .*/-download-time $(($(date +%s) - 1072915200 + 4))/" \
        "$state/state"
}
batches() { ls "$state" | grep -c "^$1-" || true; }
field() { sed -n "s/^$1 //p" "$state/state"; }
# token_keys MORE: the private keys in the token are those of the seeds of two orders, and MORE
token_keys() {
    local seeds=2 there
    [ "$keys" != file ] || return 0
    [ "$keys" = token ] || seeds=$((4 + $1))
    there=$("$dot2hsm" keys list --config "$conf" --json pkcs11:token=rse | grep -c '"private' || true)
    [ "$there" = "$seeds" ] || fail "$there keys in the token instead of $seeds"
}
kept=pem
sealed=verify.pem
[ "$keys" != assembled ] || kept=uri sealed=verify.sealed

echo "- what cannot be is said"
sed 's/^provision.*/provision = pseudonyms/' "$conf" >"$work/bad.conf"
expect 2 "$dot2hsm" ee sync --config "$work/bad.conf"
says "provision is a list"
{
    sed '/^assemble-key/d; /^application-token/d' "$conf"
    echo "application-token = pkcs11:token=rse"
} >"$work/bad.conf"
expect 2 "$dot2hsm" ee sync --config "$work/bad.conf"
says "no token can do"
expect 1 ee sign --psid 0x20 -o "$work/x" "$conf"
says "there is no pseudonym certificate"

echo "- the requests"
expect 0 ee sync --dry-run
says "Would ask for a batch of pseudonym certificates"
says "Would ask for the first of identification certificates"
expect 0 ee sync
says "next: the download"
[ "$(requests)" = 2 ] || fail "$(requests) requests"
expect 0 ee sync --dry-run
says "Would download $(field pseudonym-acked)_*.zip"
expect 1 ee status
token_keys 0
[ "$(ls "$state" | grep -c "\.$sealed\$")" = 2 ] || fail "no seed keys"
[ "$keys" != assembled ] || ! grep -l "PRIVATE KEY" "$state"/* || fail "a private key is a file"
for file in "$state"/request-*; do
    [ "$(stat -c %a "$file")" = 600 ] || fail "$file can be read by others"
done
# An acknowledgement that was lost: the RA's files tell.
cas
sed -i '/^pseudonym-acked/d; /^pseudonym-download-time/d' "$state/state"

echo "- zip files that are none of this batch"
hash=$(field pseudonym-hash)
zip=$(ls "$store/${hash^^}"_*.zip | head -n 1)
cp "$zip" "$work/good.zip"
rm -f "$(ls "$store/${hash^^}"_*.zip | tail -n 1)" # the batch of the next period comes later
cat >"$work/forge.py" <<'END'
import sys, zipfile, zlib
how, source, target = sys.argv[1:]
entries = [(i.filename, zipfile.ZipFile(source).read(i)) for i in zipfile.ZipFile(source).infolist()]
name, octets = entries[0]
x = name.split("_")[0]
flipped = bytearray(octets)
flipped[len(octets) // 2] ^= 1
forged = {
    "good": [(n.lower(), o) for n, o in entries] + [(name + ".txt", b"skipped"), ("README.md", b"")],
    "other-j": [(entries[0][0], entries[1][1]), (entries[1][0], entries[0][1])] + entries[2:],
    "other-i": [("%X_%s" % (int(x, 16) + 1, n.split("_")[1]), o) for n, o in entries],
    "name": entries + [("surprise", octets)],
    "twice": entries + [(x + "_0" + entries[0][0].split("_")[1], octets)],
    "far-j": entries + [(x + "_100", octets)],
    "directory": [("certs/" + n, o) for n, o in entries],
    "many": [("%s_%X.txt" % (x, j), b"x") for j in range(600)],
    "large": [(name, bytes(70000))],
    "empty": [(name, b"")],
    "none": [(name + ".txt", octets)],
    "altered": [(name, bytes(flipped))] + entries[1:],
    "cut": [(name, octets[:-1])],
    "damaged": entries,
}[how]
with zipfile.ZipFile(target, "w") as z:
    for n, o in forged:
        z.writestr(n, o)
if how == "damaged":  # the octets are right, the CRC beside them is not
    crc = zlib.crc32(octets).to_bytes(4, "little")
    file = open(target, "rb").read()
    open(target, "wb").write(file.replace(crc, bytes([crc[0] ^ 1]) + crc[1:]))
END
bad() { # HOW TEXT
    python3 "$work/forge.py" "$1" "$work/good.zip" "$zip"
    refused "$1" "$2"
}
refused() {
    calm
    expect 1 ee sync
    says "$2"
    [ "$(batches pseudonym)" = 0 ] || fail "$1: a batch was installed"
    [ ! -e "$state/batch.new" ] || fail "$1: something was left"
}
bad other-j "encrypted"
if [ "$keys" = file ]; then
    bad other-i "does not belong"
    bad name "does not belong"
    bad twice "does not belong"
    bad far-j "does not belong"
    bad directory "does not belong"
    bad many "too many"
    bad large "too large"
    bad empty "too large"
    bad none "no certificates"
    bad damaged "is damaged"
fi
bad altered "certificate response"
bad cut "certificate response"
head -c 1000 "$work/good.zip" >"$zip"
refused "half a zip" "no zip file"
[ "$(batches identification)" = 2 ] || fail "the failures of one kind kept the other back"

echo "- a batch"
python3 "$work/forge.py" good "$work/good.zip" "$zip"
calm
: >"$work/hook"
expect 0 ee sync
says "pseudonym certificates: 20 valid now"
says "identification certificates: 1 valid now"
[ "$(cat "$work/hook")" = pseudonym ] || fail "the hook: $(cat "$work/hook")"
[ "$(batches pseudonym)" = 1 ] || fail "$(ls "$state")"
[ "$(ls "$state"/pseudonym-*/*.$kept | wc -l)" = 20 ] || fail "$(ls "$state"/pseudonym-*)"
[ "$(stat -c %a "$state"/pseudonym-*/*.$kept | sort -u)" = 600 ] || fail "the mode of keys"
[ "$keys" != assembled ] || ! grep -rl "PRIVATE KEY" "$state" || fail "a private key is a file"
token_keys 22
[ "$(requests)" = 2 ] || fail "$(requests) requests"
expect 0 ee status
says "pseudonym"
expect 0 ee status --json
[ "$(json '[(b["role"],b["certificates"],b["state"]) for b in o["batches"]][-1]')" = \
    "('pseudonym', 20, 'valid')" ] || fail "$(cat "$work/out")"
[ "$(json '"application" in [c["role"] for c in o["certificates"]] or "nextStep" in o')" = False ] ||
    fail "$(cat "$work/out")"

echo "- messages, verified up to the root"
psid=0x20
echo "icy road" >"$work/message"
for kind in pseudonym identification; do
    for form in "" --digest; do
        expect 0 ee sign --kind $kind --psid "$psid" $form -o "$work/signed.oer" "$work/message"
        certs=()
        for cert in "$state/$kind"-*/*.oer; do certs+=(--cert "$cert"); done
        expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "${certs[@]}" \
            "$work/signed.oer"
    done
done
# Each message under any one of them.
for _ in 1 2 3 4 5 6 7 8; do
    expect 0 ee sign --psid "$psid" --digest -o "$work/signed.oer" "$work/message"
    tail -c 75 "$work/signed.oer" | head -c 9 | xxd -p
done | sort -u >"$work/signers"
[ "$(wc -l <"$work/signers")" -gt 1 ] || fail "always the same pseudonym"
expect 2 ee sign --kind pseudonyms --psid "$psid" -o "$work/x" "$work/message"
expect 1 ee sign --kind application --psid "$psid" -o "$work/x" "$work/message"

echo "- again: nothing to do"
: >"$work/hook"
expect 0 ee sync
[ ! -s "$work/hook" ] || fail "the hook ran: $(cat "$work/hook")"
[ "$(batches pseudonym)" = 1 ] || fail "$(ls "$state")"

echo "- the next batch, without another request"
cas
due() { sed -i "s/^\($1-order .*\) [0-9]*\$/\1 1/" "$state/state"; }
due pseudonym
expect 0 ee sync
[ "$(batches pseudonym)" = 2 ] || fail "$(ls "$state")"
[ "$(cat "$work/hook")" = pseudonym ] || fail "the hook: $(cat "$work/hook")"
[ "$(requests)" = 2 ] || fail "$(requests) requests"
# Nothing new is there: rescheduled by the .info file, and no failure.
due pseudonym
due identification
expect 0 ee sync
[ "$(field failure)" = "" ] || fail "a batch that is not there yet is a failure"
[ "$(field pseudonym-order | awk '{print $6}')" -gt 1 ] || fail "not rescheduled"
info=$store/${hash^^}.info
cp "$info" "$work/info"
printf '12345' >"$info"
due pseudonym
expect 1 ee sync
printf '123' >"$info"
calm
expect 1 ee sync
says "not a Time32"
cp "$work/info" "$info"
calm

echo "- new seeds; the certificates of the old ones stay"
before=$(field pseudonym-order | awk '{print $1}')
sed 's/^\[ee\]/[ee]\nseed-lifetime = 1/' "$conf" >"$work/renew.conf"
expect 0 "$dot2hsm" ee sync --dry-run --config "$work/renew.conf"
says "the seed keys are of"
# The CA has not run yet: a run that is slow enough to reach certDLTime looks, and finds nothing.
"$dot2hsm" ee sync --config "$work/renew.conf" >"$work/renewed" 2>&1 ||
    { [ $? = 1 ] && grep -q 'the .info file: the RA refused' "$work/renewed"; } ||
    fail "$(cat "$work/renewed")"
[ "$(requests)" = 4 ] || fail "$(requests) requests"
expect 0 ee sign --psid "$psid" -o "$work/signed.oer" "$work/message"
cas
calm
expect 0 ee sync
[ "$(field pseudonym-order | awk '{print $1}')" != "$before" ] || fail "the same order"
[ "$(batches pseudonym)" = 4 ] || fail "$(ls "$state")"
[ "$(batches identification)" = 4 ] || fail "$(ls "$state")"
[ "$(ls "$state" | grep -c '\.expansions$')" = 2 ] || fail "old seeds are left: $(ls "$state")"
token_keys 84
expect 0 ee sync
[ "$(requests)" = 4 ] || fail "$(requests) requests"

echo "- another enrollment certificate: another request"
cp "$state/state" "$work/state.good"
sed -i 's/^\(pseudonym-order [^ ]* [^ ]*\) [^ ]*/\1 0123456789abcdef/' "$state/state"
expect 0 ee sync --dry-run
says "the enrollment certificate is another one"
cp "$work/state.good" "$state/state"

echo "- what is over is removed"
sed -i 's/^\(pseudonym-batch .*\) [0-9]*$/\1 700000000/' "$state/state"
expect 0 ee sync
[ "$(batches pseudonym)" = 0 ] || fail "$(ls "$state")"
token_keys 4
expect 1 ee status
mkdir "$state/batch.new" "$state/pseudonym-0123456789abcdef-1"
touch "$state/batch.new/0.pem" "$state/request-0123456789abcdef.expansions"
expect 0 ee sync
[ ! -e "$state/batch.new" ] && [ ! -e "$state/pseudonym-0123456789abcdef-1" ] &&
    [ ! -e "$state/request-0123456789abcdef.expansions" ] || fail "left: $(ls "$state")"

echo "- a state that is none"
for line in "pseudonym-order x" "pseudonym-batch ../../../../../x 1 1 1 1" \
    "pseudonym-batch 0123456789abcdef 1 257 1 1" "pseudonym-request ../12345678901234"; do
    cp "$work/state.good" "$state/state"
    echo "$line" >>"$state/state"
    expect 1 ee status
    says "cannot be used"
done
echo ok
