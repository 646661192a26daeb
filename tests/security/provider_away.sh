#!/usr/bin/env bash
# Without the provider there is an error: never a plain signature, and never a verdict.
. "$SOURCE_DIR/tests/security/lib.sh"

"$bin/dot2hsm" lab init "$work/lab" >/dev/null
printf '\053\020\063\105' >"$work/time32"
cert=$work/lab/rse/enrollment.oer
sign() {
    "$bin/dot2hsm" sign --signer "$cert" --key "file:$work/lab/rse/enrollment.key" \
        --out "$work/signature" "$@" "$work/time32"
}
verify() {
    "$bin/dot2hsm" verify --root "$work/lab/trust/root.oer" --cert "$work/lab/trust" "$cert"
}
expect 0 sign
expect 0 verify
rm "$work/signature"

# A program of its own, without a provider beside it, and a directory without one.
mkdir "$work/nothing" "$work/bin"
cp "$bin/dot2hsm" "$work/bin/"
bin=$work/bin
export DOT2HSM_PROVIDER_PATH=$work/nothing
unset DOT2HSM_MODULES
for format in coer der raw; do
    expect 2 sign --format $format
    [ ! -e "$work/signature" ] || fail "a signature without the provider"
    grep -q 'dot2hsm' "$work/err" || fail "the error does not name the provider"
done
expect 2 verify
grep -qiE '^(valid|not valid)' "$work/out" && fail "a verdict without the provider"
echo "no provider: $(head -n 1 "$work/err")"
