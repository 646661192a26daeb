#!/usr/bin/env bash
# Implicit certificates for keys in a token, assembled on the host (assemble-key-on-host): enrollment,
# application certificates, what is refused, what a killed run leaves, and that neither k nor d is
# ever in a file.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
tokens ra rse
sync_lab --module "$softhsm" --pin-source "file:$work/%s.pin" --ra-token pkcs11:token=ra \
    --rse-token pkcs11:token=rse
token_apart "$lab/rse.conf"
cas_start --application implicit
conf=$work/device.conf
state=$work/state
sed -e "s#^enrollment-certificate.*#enrollment-certificate = $work/enrollment.oer#" \
    -e 's#^enrollment-key.*#enrollment-key = "pkcs11:token=rse;object=device"#' \
    -e "s#^state-dir.*#state-dir = $state#" \
    -e '/^certificates/d; /^ra-certificate/d; /^enrollment *=/d' "$lab/rse.conf" >"$conf"
echo "certificates = $lab/trust" >>"$conf"
assemble=--assemble-key-on-host
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
enroll() { ee enroll $assemble "$@"; }
sync() { ee sync $assemble "$@"; }
# labels: of the private keys in the device's token, sorted
labels() {
    "$dot2hsm" keys list --config "$conf" --json pkcs11:token=rse >"$work/keys.json"
    python3 -c "
import json
print(' '.join(sorted(o['label'] for o in json.load(open('$work/keys.json'))
                      if o['class'] == 'private')))"
}
# flags LABEL: "sensitive extractable local always never usage" of a private key
flags() {
    labels >/dev/null
    python3 -c "
import json
o, = [o for o in json.load(open('$work/keys.json')) if o['class'] == 'private' and o['label'] == '$1']
print(*[str(o[k]).lower() for k in ('sensitive', 'extractable', 'local', 'always_sensitive',
                                    'never_extractable')], ','.join(o['usage']))"
}
imported="true false false false false sign"
# ask NAME / answer NAME: a request to the enrollment CA, and what it makes of it
ask() { expect 0 enroll --request "$lab/eca/requests/$1.oer" --psid 0x82; }
answer() {
    for _ in $(seq 200); do
        [ ! -e "$lab/eca/responses/$1.oer" ] || return 0
        sleep 0.05
    done
    fail "no response to $1"
}
base=$(labels)
trust=("$lab/trust/root.oer")
for cert in "$lab"/trust/*.oer; do
    [ "$cert" = "$lab/trust/root.oer" ] || trust+=("$cert")
done
# alter FROM TO: a sealed file in which one octet of the ciphertext is another
alter() {
    python3 - "$1" "$2" <<'END'
import base64, re, sys
text = open(sys.argv[1]).read()
block = re.search(r'(-----BEGIN DOT2HSM SEALED KEY-----\n)(.*?)(-----END)', text, re.S)
octets = bytearray(base64.b64decode(block.group(2)))
octets[-20] ^= 1
new = base64.encodebytes(bytes(octets)).decode()
open(sys.argv[2], 'w').write(text[:block.start(2)] + new + text[block.end(2):])
END
}
# nowhere HEX...: these octets are in no file but the token's own, as they are or as hexadecimal
nowhere() {
    python3 - "$work" "$@" <<'END'
import os, sys
wanted = []
for text in sys.argv[2:]:
    assert len(text) == 64
    wanted += [bytes.fromhex(text), text.encode(), text.upper().encode(), bytes.fromhex(text)[::-1]]
files = 0
for directory, names, entries in os.walk(sys.argv[1]):
    for entry in entries:
        path = os.path.join(directory, entry)
        if not os.path.isfile(path):
            continue
        octets = open(path, 'rb').read()
        files += 1
        if any(w in octets for w in wanted):
            sys.exit(path + ' holds a private number')
assert files > 10, files
END
}

echo "- off by default, and said so"
expect 2 ee enroll --request "$work/x" --psid 0x82
says "assemble-key-on-host = yes"
[ ! -e "$work/x" ] || fail "a request was made"
echo "assemble-key-on-host = maybe" | cat "$conf" - >"$work/bad.conf"
expect 2 "$dot2hsm" ee sync --config "$work/bad.conf"
says "assemble-key-on-host is yes or no"
sed 's#object=device#id=%01#' "$conf" >"$work/id.conf"
expect 2 "$dot2hsm" ee enroll --config "$work/id.conf" $assemble --request "$work/x" --psid 0x82
says "needs object="

echo "- memory that cannot be locked: no key is made"
(
    ulimit -l 0
    # The superuser may lock whatever the limit says.
    run=("$dot2hsm" ee enroll --config "$conf" $assemble --request "$work/x" --psid 0x82)
    if [ "$(id -u)" = 0 ]; then
        command -v setpriv >/dev/null || exit 0
        run=(setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "${run[@]}")
    fi
    [ -n "${SANITIZE:-}" ] || { # whose mlock() does nothing
        expect 1 "${run[@]}"
        says "memory cannot be locked"
    }
)
[ ! -e "$state/enrollment.sealed" ] || fail "a key was made"

echo "- enrollment: k is sealed, and only that is on disk"
ask one
answer one
[ "$(stat -c %a "$state/enrollment.sealed")" = 600 ] || fail "the mode of the sealed key"
[ ! -e "$state/enrollment.pem" ] || fail "the key is a file"
[ "$(labels)" = "$(printf '%s\n' $base device-seal | sort | xargs)" ] || fail "keys: $(labels)"
[ "$(flags device-seal)" = "true false true true true derive" ] || fail "$(flags device-seal)"
expect 2 ee enroll --response "$lab/eca/responses/one.oer"
says "assemble-key-on-host is not set"

echo "- the same k in another request; a response to the first is none to the second"
cp "$state/enrollment.sealed" "$work/sealed"
sleep 1
ask two
cmp "$state/enrollment.sealed" "$work/sealed" || fail "another key"
answer two
expect 1 enroll --response "$lab/eca/responses/one.oer"
says "not to the request"

echo "- a sealed file that was altered, of another key, or none"
alter "$work/sealed" "$state/enrollment.sealed"
expect 1 enroll --response "$lab/eca/responses/two.oer"
says "the tag does not match"
echo "nothing" >"$state/enrollment.sealed"
expect 1 enroll --response "$lab/eca/responses/two.oer"
says "not a sealed key"
# Another k under the same sealing key: of another state directory.
sed "s#^state-dir.*#state-dir = $work/state2#" "$conf" >"$work/other.conf"
expect 0 "$dot2hsm" ee enroll --config "$work/other.conf" $assemble --request "$work/other.oer" --psid 0x82
cp "$work/state2/enrollment.sealed" "$state/enrollment.sealed"
expect 1 enroll --response "$lab/eca/responses/two.oer"
says "not for the key of the request"
# Its sealed part behind the public key of the first.
sed -n '/BEGIN PUBLIC/,/END PUBLIC/p' "$work/sealed" >"$state/enrollment.sealed"
sed -n '/BEGIN DOT2HSM/,$p' "$work/state2/enrollment.sealed" >>"$state/enrollment.sealed"
expect 1 enroll --response "$lab/eca/responses/two.oer"
says "another key than the one that the file shows"
cp "$work/sealed" "$state/enrollment.sealed"

echo "- a response with another s"
"$tools/assembled" wrong "$conf" "$lab/eca/responses/two.oer" "$work/wrong.oer" "$lab/ca/eca.key" \
    "${trust[@]}"
expect 1 enroll --response "$work/wrong.oer"
says "not for the key of the request"
[ ! -e "$work/enrollment.oer" ] || fail "an enrollment certificate was installed"
case " $(labels) " in *" device "*) fail "a key was put into the token" ;; esac

echo "- the sealing key of another token object"
expect 0 "$dot2hsm" keys delete --yes --config "$conf" "pkcs11:token=rse;object=device-seal"
expect 1 enroll --response "$lab/eca/responses/two.oer"
expect 0 "$dot2hsm" keys generate --usage derive --config "$conf" "pkcs11:token=rse;object=device-seal"
expect 1 enroll --response "$lab/eca/responses/two.oer"
says "ECIES"
# k is lost with its sealing key: from the start.
rm "$state/enrollment.sealed"
ask three
answer three

read -r k d <<<"$("$tools/assembled" numbers "$conf" "$lab/eca/responses/three.oer" \
    "$state/enrollment.sealed" "pkcs11:token=rse;object=device-seal" "${trust[@]}" | xargs)"
nowhere "$k" "$d" || fail "before the response"

echo "- killed at any moment, and run again"
for ms in 5 15 25 35 50 70 90; do
    "$dot2hsm" ee enroll --config "$conf" $assemble --response "$lab/eca/responses/three.oer" \
        >/dev/null 2>&1 &
    pid=$!
    sleep "0.0$(printf '%02d' $ms)"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    nowhere "$k" "$d" || fail "killed after $ms ms"
done
expect 0 enroll --response "$lab/eca/responses/three.oer"
says "implicit"
expect 0 enroll --response "$lab/eca/responses/three.oer"
[ ! -e "$state/enrollment.sealed" ] || fail "the sealed key is still there"
nowhere "$k" "$d" || fail "after the response"
[ "$(labels)" = "$(printf '%s\n' $base device | sort | xargs)" ] || fail "keys: $(labels)"
[ "$(flags device)" = "$imported" ] || fail "$(flags device)"
expect 1 enroll --request "$work/x" --psid 0x82
says "is there already"
expect 0 "$dot2hsm" keys list --config "$conf" "pkcs11:token=rse;object=device;type=private"
grep -Eq "device .* sign +yes +no +no " "$work/out" || fail "$(cat "$work/out")"

echo "- an application certificate, signed for with the assembled key, assembled too"
expect 0 sync
acked=$(sed -n 's/^request //p' "$state/state")
[ -e "$state/request-$acked.verify.sealed" ] || fail "$(ls "$state")"
[ "$(stat -c %a "$state/request-$acked.verify.sealed")" = 600 ] || fail "the mode"
sleep 2.2
expect 2 ee sync
says "assemble-key-on-host is not set"
cp "$state/request-$acked.verify.sealed" "$work/sealed"
alter "$work/sealed" "$state/request-$acked.verify.sealed"
expect 1 sync
says "the tag does not match"
cp "$work/sealed" "$state/request-$acked.verify.sealed"
expect 0 sync --wait
expect 0 ee status
says "put into the token, not made there"
expect 0 ee status --json
says '"applicationKeyOrigin"'
[ "$(labels)" = "$(printf '%s\n' $base device "app-$acked-verify" | sort | xargs)" ] ||
    fail "keys: $(labels)"
[ "$(flags "app-$acked-verify")" = "$imported" ] || fail "$(flags "app-$acked-verify")"
[ "$(ls "$state" | grep -c -e sealed -e '\.pem$')" = 0 ] || fail "$(ls "$state")"
echo "icy road" >"$work/message"
expect 0 ee sign --psid 0x82 -o "$work/signed.oer" "$work/message"
expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"

echo "- without the option: the error"
sed 's/^\[ee\]/[ee]\nrenew-before = 8000/' "$conf" >"$work/renew.conf"
expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
sleep 2.2
expect 1 "$dot2hsm" ee sync --config "$work/renew.conf"
says "its key cannot be made in a token"

echo "ok"
