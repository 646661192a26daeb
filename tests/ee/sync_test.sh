#!/usr/bin/env bash
# A device's life with its keys in a token: enrollment, request, certificate, signature, renewal;
# and what sync refuses.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
tokens ra rse
sync_lab --module "$softhsm" --pin-source "file:$work/%s.pin" --ra-token pkcs11:token=ra \
    --rse-token pkcs11:token=rse
cas_start --enrollment explicit
conf=$work/device.conf
state=$work/state
sed -e "s#^enrollment-certificate.*#enrollment-certificate = $work/enrollment.oer#" \
    -e 's#^enrollment-key.*#enrollment-key = "pkcs11:token=rse;object=device"#' \
    -e "s#^state-dir.*#state-dir = $state#" \
    -e '/^certificates/d; /^ra-certificate/d' "$lab/rse.conf" >"$conf"
# Of a directory, what has the name of a certificate.
mkdir "$work/trust"
cp "$lab/trust/ica.oer" "$work/trust/ica.cert"
cp "$lab/trust/eca.oer" "$work/trust/eca.coer"
cp "$lab/trust/pca.oer" "$work/trust/pca.oer"
echo "the operator's" >"$work/trust/README"
echo "certificates = $work/trust" >>"$conf"
echo "hook = sh $work/hook.sh" >>"$conf"
echo 'echo "$DOT2HSM_CHANGED" >>"${0%.sh}"' >"$work/hook.sh"
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
json() { python3 -c "import json; o=json.load(open('$work/out')); print($1)"; }
# answer NAME: what the enrollment CA makes of a request
answer() {
    for _ in $(seq 100); do
        [ ! -e "$lab/eca/responses/$1.oer" ] || return 0
        sleep 0.05
    done
    fail "no response to $1"
}
keys() { "$dot2hsm" keys list --config "$conf" --json pkcs11:token=rse | grep -c '"private' || true; }

echo "- enrollment, in the token"
expect 1 ee status
says "application  none"
expect 2 ee enroll --request x --response y
expect 2 ee enroll --request x
expect 2 ee enroll --request x --psid 0x82 --years 8
expect 0 ee enroll --request "$lab/eca/requests/one.oer" --psid 0x82 --psid 0x87
answer one
cp "$lab/eca/responses/one.oer" "$work/one.oer"
head -c 100 "$work/one.oer" >"$work/short.oer"
expect 1 ee enroll --response "$work/short.oer"
sed 's/^enrollment = .*/enrollment = implicit/' "$conf" >"$work/implicit.conf"
expect 2 "$dot2hsm" ee enroll --config "$work/implicit.conf" --request x --psid 0x82
expect 1 "$dot2hsm" ee enroll --config "$work/implicit.conf" --response "$work/one.oer"
says "is explicit"
# The response to another request, of the same key.
sleep 1
expect 0 ee enroll --request "$lab/eca/requests/two.oer" --psid 0x82
expect 1 ee enroll --response "$work/one.oer"
says "not to the request"
[ ! -e "$work/enrollment.oer" ] || fail "an enrollment certificate was installed"
answer two
expect 0 ee enroll --response "$lab/eca/responses/two.oer"
says "explicit"

echo "- nothing is done by a dry run"
expect 0 ee sync --dry-run
says "Would ask for an application certificate"
[ ! -e "$state/state" ] || fail "a state was written"

echo "- the certificate"
expect 0 ee sync --wait
says "the application certificate is valid until"
grep -qx "certificate" "$work/hook" || grep -q "certificate" "$work/hook" || fail "the hook did not run"
grep -q "policy chain" "$work/hook" || fail "the hook did not hear of the files"
[ "$(requests)" = 1 ] || fail "$(requests) requests"
expect 0 ee status --json
[ "$(json 'o["nextStep"].startswith("none")')" = True ] || fail "$(cat "$work/out")"
[ "$(json '[c["role"] for c in o["certificates"]]')" = "['enrollment', 'ra', 'application']" ] ||
    fail "$(cat "$work/out")"
key=$(json 'o["applicationKey"]')
case $key in pkcs11:token=rse\;object=app-*-verify) ;; *) fail "key $key" ;; esac
expect 0 ee status
says "application  "
[ "$(ls "$state" | grep -c '\.pem$')" = 0 ] || fail "a key is a file"

echo "- again: nothing to do, and the hook is silent"
: >"$work/hook"
cp "$state"/application-*.oer "$work/before.oer"
expect 0 ee sync
cmp "$state"/application-*.oer "$work/before.oer" || fail "another certificate"
[ ! -s "$work/hook" ] || fail "the hook ran: $(cat "$work/hook")"
[ "$(requests)" = 1 ] || fail "$(requests) requests"

echo "- a signed message, verified up to the root"
echo "icy road" >"$work/message"
expect 0 ee sign --psid 0x82 -o "$work/signed.oer" "$work/message"
expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"
expect 0 ee sign --psid 130 --digest -o "$work/digest.oer" "$work/message"
expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" \
    --cert "$(ls "$state"/application-*.oer)" "$work/digest.oer"
expect 1 ee sign --psid 0x20 -o "$work/x" "$work/message"
says "does not permit"
expect 2 ee sign --psid -1 -o "$work/x" "$work/message"
expect 2 ee sign -o "$work/x" "$work/message"

echo "- renewal: a new key, and the old one is gone from the token"
before=$(keys)
sed 's/^\[ee\]/[ee]\nrenew-before = 8000/' "$conf" >"$work/renew.conf"
expect 0 "$dot2hsm" ee sync --dry-run --config "$work/renew.conf"
says "Would ask for an application certificate"
expect 0 "$dot2hsm" ee sync --wait --config "$work/renew.conf"
[ "$(keys)" = "$before" ] || fail "$(keys) keys instead of $before"
! cmp -s "$state"/application-*.oer "$work/before.oer" || fail "not renewed"
grep -q certificate "$work/hook" || fail "the hook did not run"
expect 0 ee sign --psid 0x82 -o "$work/signed.oer" "$work/message"
expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" "$work/signed.oer"

echo "- zip files that are not the one that was asked for"
cp "$state"/application-*.oer "$work/before.oer"
expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
zip=$lab/ra/download/$(sed -n 's/^acked //p' "$state/state" | tr a-f A-F).zip
for _ in $(seq 200); do
    [ ! -e "$zip" ] || break
    sleep 0.05
done
cp "$zip" "$work/good.zip"
sed -i "s/^download-time .*/download-time $(sed -n 's/^made //p' "$state/state")/" "$state/state"
cat >"$work/forge.py" <<'END'
import sys, zipfile
how, source, target = sys.argv[1:]
name, octets = [(i.filename, zipfile.ZipFile(source).read(i)) for i in zipfile.ZipFile(source).infolist()][0]
with zipfile.ZipFile(target, "w") as z:
    for n, o in {
        "two": [(name, octets), ("README", b"x")],
        # of the same name would be no zip file, and there are names without a letter
        "twice": [(name, octets), (name.lower() if name.lower() != name else name[:-1] + "a", octets)],
        "other": [("0" * 16, octets)],
        "extension": [(name + ".oer", octets)],
        "directory": [("certs/" + name, octets)],
        "up": [("../" + name, octets)],
        "large": [(name, bytes(70000))],
        "none": [],
        "altered": [(name, octets[:-1] + bytes([octets[-1] ^ 1]))],
        "good": [(name.lower(), octets)],
    }[how]:
        z.writestr(n, o)
END
for case in "two|or too many" "twice|or too many" "other|not the one entry" "extension|not the one entry" \
    "directory|not the one entry" "up|not the one entry" "large|too large" "none|no entries" \
    "altered|certificate response"; do
    python3 -W ignore "$work/forge.py" "${case%|*}" "$work/good.zip" "$zip"
    sed -i '/^failure /d' "$state/state"
    expect 1 "$dot2hsm" ee sync --config "$work/renew.conf"
    says "${case#*|}"
    cmp -s "$state"/application-*.oer "$work/before.oer" || fail "${case%|*}: another certificate"
done
sed -i '/^failure /d' "$state/state"
python3 "$work/forge.py" good "$work/good.zip" "$zip"
expect 0 "$dot2hsm" ee sync --config "$work/renew.conf"
! cmp -s "$state"/application-*.oer "$work/before.oer" || fail "not renewed"

echo "- a key that is gone, as after an exchange of the HSM: another certificate"
cp "$state"/application-*.oer "$work/before.oer"
expect 0 "$dot2hsm" keys delete --yes --config "$conf" "$(sed -n 's/^key //p' "$state/state")"
expect 0 ee status
says "Key          missing"
sed '/^pin-source/d' "$conf" >"$work/no_pin.conf"
expect 0 "$dot2hsm" ee status --config "$work/no_pin.conf"
says "Key          unknown"
expect 0 ee sync --wait
says "not there any more"
! cmp -s "$state"/application-*.oer "$work/before.oer" || fail "the certificate is the old one"
expect 0 ee status
says "Key          made in the token"
expect 0 ee sign --psid 0x82 -o "$work/signed.oer" "$work/message"

echo "- a hook that fails runs again"
rm -f "$state/policy.oer"
sed 's#^hook.*#hook = false#' "$conf" >"$work/hook.conf"
expect 1 "$dot2hsm" ee sync --config "$work/hook.conf"
says "the hook failed"
: >"$work/hook"
expect 0 ee sync
[ "$(cat "$work/hook")" = policy ] || fail "the hook: $(cat "$work/hook")"

echo "- the hook's world: what it is told, SIGPIPE as usual, and the lock is held"
cat >"$work/world.sh" <<'END'
echo "$DOT2HSM_CHANGED $DOT2HSM_STATE_DIR $DOT2HSM_CERTIFICATE $DOT2HSM_KEY" >"$0.env"
sed -n 's/^SigIgn:\t//p' /proc/self/status >"$0.ignored"
exec 9>"$(dirname "$0")/state/lock"
flock -n 9 && echo free >"$0.lock"
exit 0
END
rm -f "$state/policy.oer"
sed "s#^hook.*#hook = sh $work/world.sh#" "$conf" >"$work/hook.conf"
expect 0 env -u DOT2HSM_CHANGED "$dot2hsm" ee sync --config "$work/hook.conf"
[ "$(cat "$work/world.sh.env")" = "policy $state $(ls "$state"/application-*.oer) $(sed -n 's/^key //p' "$state/state")" ] ||
    fail "$(cat "$work/world.sh.env")"
# SIGPIPE is 13: a pipe in the hook ends as it does in any shell.
[ $((0x$(cat "$work/world.sh.ignored") >> 12 & 1)) = 0 ] || fail "SIGPIPE is ignored"
[ ! -e "$work/world.sh.lock" ] || fail "the lock was free"

echo "- two at once"
(
    flock 9
    expect 1 ee sync
    says "another run"
) 9>"$state/lock"

echo "- what is left by a killed run goes"
touch "$state/state.abcDE0" "$state/policy.oer.abcdef" "$state/chain.new" "$state/ra.oer.012345" \
    "$state/request-0123456789abcdef.zip" "$state/application-0123456789abcdef.pem" \
    "$state/crl-0123456789abcdef-1-full.oer.abcdef"
expect 0 ee sync
[ "$(ls "$state" | grep -cv -e '^enrollment\.' -e '^lock$')" = 5 ] || fail "$(ls "$state")"

echo "- what is somebody else's stays, though its name begins as ours do"
(
    cd "$state"
    touch ra.sqlite ra.sqlite-wal ra.conf ra.pin policy.txt chain.old crl.sh state.copy \
        request-mine.oer application-notes.txt pseudonym-notes crl-notes enrollment.sealed.old
)
ls "$state" >"$work/before"
expect 0 ee sync
ls "$state" | diff "$work/before" - || fail "a file of somebody else's was removed"
rm "$state"/ra.[spc]* "$state"/*.{txt,old,sh,copy} "$state"/*-{mine.oer,notes}

echo "- false chain files, policies and RA certificates"
cp "$lab/ra.conf" "$work/ra.conf"
head -c 30 "$lab/ra/local_policy_01.oer" >"$work/bad_policy.oer"
sed -i "s#^policy-file.*#policy-file = $work/bad_policy.oer#" "$lab/ra.conf"
kill "$ra" && wait "$ra" || true
ra_start
sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" "$conf"
cp "$state/policy.oer" "$work/policy.before"
expect 1 ee sync
says "the policy file"
cmp "$state/policy.oer" "$work/policy.before" || fail "the policy was replaced"

echo "- an RA that is away: the limit, and that it is said"
kill "$ra" && wait "$ra" || true
{
    grep -v '^failure' "$state/state"
    now=$(date +%s)
    for i in 9 8 7 6 5 4 3 2 1; do echo "failure $((now - 60 * i))"; done
} >"$work/state.new"
cat "$work/state.new" >"$state/state"
expect 3 ee sync --wait
says "cannot be reached"
expect 1 ee sync
says "stopped: 10 failures within 60 minutes"
expect 0 ee status
says "10 failures within an hour"
says "Last error"
expect 0 ee sync --dry-run
says "Nothing before"
# An hour later.
sed -i '/^failure/d' "$state/state"
expect 3 ee sync

echo "- a state that is none"
echo "what is this" >>"$state/state"
expect 1 ee status
says "cannot be used"

echo "ok"
