#!/usr/bin/env bash
# What the installed library exports is what symbols.txt has; each header compiles alone; the example,
# built by pkg-config from the installed prefix, signs with a key in a token and verifies.
. "$SOURCE_DIR/tests/security/lib.sh"
prefix=$work/prefix
cmake --install "$BUILD_DIR" --prefix "$prefix" >/dev/null
lib=$(find "$prefix" -name libdot2hsm.so.0)
nm -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' | sort >"$work/symbols"
diff "$SOURCE_DIR/tests/api/symbols.txt" "$work/symbols" ||
    fail "the exported symbols are not those of tests/api/symbols.txt"
readelf -d "$lib" | grep -q 'SONAME.*libdot2hsm\.so\.0' || fail "another SONAME"

for header in "$prefix"/include/dot2hsm/*.h; do
    echo "#include <dot2hsm/$(basename "$header")>" >"$work/alone.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I "$prefix/include" -fsyntax-only "$work/alone.c"
    g++ -x c++ -Wall -Wextra -Werror -I "$prefix/include" -fsyntax-only "$work/alone.c"
    ! grep -n 'include <\(openssl\|asn1\)' "$header" || fail "$header shows what is within"
done

example=$SOURCE_DIR/examples/spdu.c
[ "$(wc -l <"$example")" -lt 100 ] || fail "the example is too long"
sed "s|^prefix=.*|prefix=$prefix|" "$(find "$prefix" -name dot2hsm.pc)" >"$work/dot2hsm.pc"
export PKG_CONFIG_PATH=$work
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror "$example" $(pkg-config --cflags --libs dot2hsm) -o "$work/spdu"

tokens rse
"$bin/dot2hsm" lab init "$work/lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --rse-token pkcs11:token=rse >/dev/null
run=(env "LD_LIBRARY_PATH=$(dirname "$lib")" "$work/spdu" "$(find "$prefix" -name dot2hsm.so)"
    "$softhsm")
key='pkcs11:token=rse;object=enrollment;type=private'
root=$work/lab/trust/root.oer
# The enrollment certificate signs no messages: its signature is made, and refused by the receiver.
expect 1 "${run[@]}" "file:$work/rse.pin" "$key" "$work/lab/rse/enrollment.oer" "$root" 0x20 hello \
    "$work"/lab/trust/*.oer
grep -q '^verify: DOT2HSM_E_PERMISSION' "$work/err" || fail "$(cat "$work/err")"
expect 1 "${run[@]}" "file:$work/rse.pin" "$key" "$root" "$root" 0x20 hello
grep -q '^sign: DOT2HSM_E_KEY_MISMATCH' "$work/err" || fail "$(cat "$work/err")"
printf wrong >"$work/wrong.pin"
expect 1 "${run[@]}" "file:$work/wrong.pin" "$key" "$root" "$root" 0x20 hello
grep -q 'CKR_PIN_INCORRECT' "$work/err" || fail "$(cat "$work/err")"
