#!/usr/bin/env bash
# dot2hsm keys: list, generate, delete, with SoftHSM2; exit codes of what goes wrong.
set -euo pipefail
dot2hsm=$BUILD_DIR/bin/dot2hsm
module=/usr/lib/softhsm/libsofthsm2.so
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/tokens"
export SOFTHSM2_CONF=$dir/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$dir" >"$SOFTHSM2_CONF"
softhsm2-util --init-token --free --label rse --pin 1234 --so-pin 5678 >/dev/null
printf 1234 >"$dir/pin"
chmod 600 "$dir/pin"
cat >"$dir/dot2hsm.conf" <<CONF
[provider]
pkcs11-module = $module
pin-source = file:$dir/pin
CONF
export DOT2HSM_CONF=$dir/dot2hsm.conf

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# expect CODE TEXT COMMAND...: the exit code, and the text somewhere in what it says
expect() {
    local code=0 want=$1 text=$2
    shift 2
    "$@" >"$dir/out" 2>&1 </dev/null || code=$?
    [ "$code" = "$want" ] || fail "exit $code, not $want: $* : $(cat "$dir/out")"
    grep -qF -- "$text" "$dir/out" || fail "no \"$text\" in: $(cat "$dir/out")"
}
json() { # json KEY-EXPRESSION: of the listing of object=$object
    "$dot2hsm" keys list --json "pkcs11:token=rse;object=$object" \
        | python3 -c "import json,sys; o=json.load(sys.stdin); print(($1))"
}

echo "- generate, each curve and usage"
for curve in P-256 P-384 brainpoolP256r1 brainpoolP384r1; do
    object=key-$curve
    uri=$("$dot2hsm" keys generate --curve "$curve" --usage sign "pkcs11:token=rse;object=$object")
    case $uri in
    pkcs11:*object=$object*) ;;
    *) fail "the URI printed is $uri" ;;
    esac
    [ "$(json 'len([x for x in o if x["class"] == "private"])')" = 1 ] || fail "no one key $object"
    [ "$(json 'o[0]["sensitive"], o[0]["extractable"], o[0]["local"], o[0]["usage"]')" \
        = "(True, False, True, ['sign'])" ] || fail "attributes of $object: $(json 'o[0]')"
    # The URI that was printed names this key and no other.
    [ "$("$dot2hsm" keys list --json "$uri" | grep -c '"class":"private"')" = 1 ] || fail "$uri"
done
object=derive
"$dot2hsm" keys generate --usage derive "pkcs11:token=rse;object=derive" >/dev/null
[ "$(json 'o[0]["usage"], o[0]["curve"]')" = "(['derive'], 'prime256v1')" ] || fail "derive"
"$dot2hsm" keys generate --usage sign,derive "pkcs11:token=rse;object=both" >/dev/null
object=both
[ "$(json 'o[0]["usage"]')" = "['sign', 'derive']" ] || fail "both"

echo "- the same attributes by another program"
pkcs11-tool --module "$module" --login --pin 1234 --list-objects --type privkey --label key-P-256 \
    2>/dev/null >"$dir/out"
grep -q 'Access:.*sensitive.*never extractable, local' "$dir/out" || fail "$(cat "$dir/out")"
grep -q 'Usage: *sign$' "$dir/out" || fail "$(cat "$dir/out")"

echo "- the table"
expect 0 "EXTRACTABLE" "$dot2hsm" keys list
grep -Eq '^private +key-P-384 +[0-9a-f]{40} +secp384r1 +sign +yes +no +yes +pkcs11:' "$dir/out" \
    || fail "table: $(cat "$dir/out")"
expect 0 "No object matches" "$dot2hsm" keys list "pkcs11:token=rse;object=nothing"

echo "- refusals"
expect 1 "there already" "$dot2hsm" keys generate "pkcs11:token=rse;object=both"
expect 2 "unknown curve" "$dot2hsm" keys generate --curve P-521 "pkcs11:token=rse;object=x"
expect 2 "unknown usage" "$dot2hsm" keys generate --usage encrypt "pkcs11:token=rse;object=x"
expect 2 "one URI" "$dot2hsm" keys generate
expect 2 "one URI" "$dot2hsm" keys delete --yes
expect 2 "pkcs11:tokn=rse" "$dot2hsm" keys list "pkcs11:tokn=rse"
expect 3 "no such token" "$dot2hsm" keys list "pkcs11:token=no such token"
expect 3 "/nonexistent.so" "$dot2hsm" keys list --module /nonexistent.so
expect 2 "unrecognized option" "$dot2hsm" keys list --jason
expect 2 "unknown command" "$dot2hsm" keys lst
expect 2 "PIN file" "$dot2hsm" keys generate --pin-source "file:$dir/none" "pkcs11:token=rse;object=x"
printf 9999 >"$dir/wrong"
chmod 600 "$dir/wrong"
expect 1 "PIN" "$dot2hsm" keys generate --pin-source "file:$dir/wrong" "pkcs11:token=rse;object=x"
! grep -q 9999 "$dir/out" || fail "the PIN is in the message"
printf '[provider]\npkcs11-modul = x\n' >"$dir/bad.conf"
expect 2 'unknown key "pkcs11-modul"' "$dot2hsm" keys list --config "$dir/bad.conf"
expect 2 "[provider]" "$dot2hsm" keys list --config "$dir/bad.conf"
printf '[provder]\npkcs11-module = x\n' >"$dir/bad.conf"
expect 2 "unknown section [provder]" "$dot2hsm" keys list --config "$dir/bad.conf"
printf 'ra-url = x\n' >"$dir/bad.conf"
expect 2 "outside any section" "$dot2hsm" keys list --config "$dir/bad.conf"
# A file of the provider's options alone, as DOT2HSM_CONF may name, needs no section.
sed 1d "$DOT2HSM_CONF" >"$dir/flat.conf"
expect 0 "key-P-256" "$dot2hsm" keys list --config "$dir/flat.conf"
expect 2 "cannot be read" "$dot2hsm" keys list --config "$dir/none.conf"
DOT2HSM_CONF= expect 2 "no PKCS#11 module" "$dot2hsm" keys list

echo "- delete"
object=both
expect 1 "Nothing is deleted" "$dot2hsm" keys delete "pkcs11:token=rse;object=both"
[ "$(json 'len(o)')" = 2 ] || fail "deleted without a yes"
echo y | "$dot2hsm" keys delete "pkcs11:token=rse;object=both;type=public" >/dev/null
[ "$(json '[x["class"] for x in o]')" = "['private']" ] || fail "type= does not narrow a delete"
expect 0 "1 object deleted" "$dot2hsm" keys delete --yes "pkcs11:token=rse;object=both"
expect 0 "No object matches" "$dot2hsm" keys list "pkcs11:token=rse;object=both"
expect 1 "no object matches" "$dot2hsm" keys delete --yes "pkcs11:token=rse;object=both"
expect 2 "object" "$dot2hsm" keys delete --yes "pkcs11:token=rse"
object=derive
[ "$(json 'len(o)')" = 2 ] || fail "a delete took more than it was told"

echo "- help and version"
for command in "" keys "keys list" "keys generate" "keys delete"; do
    # shellcheck disable=SC2086
    expect 0 "Usage: dot2hsm" "$dot2hsm" $command --help
done
expect 0 "dot2hsm " "$dot2hsm" --version
expect 2 "which command" "$dot2hsm"
code=0
"$dot2hsm" --help >/dev/full 2>/dev/null || code=$?
[ "$code" = 1 ] || fail "a full disk is not seen"
echo "ok"
