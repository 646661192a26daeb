#!/usr/bin/env bash
# What the installed libraries export is what the files here have; each header compiles alone; the
# examples, built by pkg-config from the installed prefix, work: a message, and an RA and a device
# with their keys in tokens.
. "$SOURCE_DIR/tests/security/lib.sh"
prefix=$work/prefix
cmake --install "$BUILD_DIR" --prefix "$prefix" >/dev/null
lib=$(find "$prefix" -name libdot2hsm.so.0)
# symbols LIBRARY FILE: what it exports, one line each, is what the file has.
symbols() {
    nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort >"$work/symbols"
    diff "$SOURCE_DIR/tests/api/$2" "$work/symbols" ||
        fail "the exported symbols are not those of tests/api/$2"
    readelf -d "$1" | grep -qF "SONAME" || fail "$1 has no SONAME"
    readelf -d "$1" | grep SONAME | grep -qF "[$(basename "$1")]" || fail "another SONAME"
    ! readelf -d "$1" | grep -q 'R.*PATH' || fail "$1 looks for libraries where it was built"
}
symbols "$lib" symbols.txt
symbols "$(find "$prefix" -name libdot2hsm-ra.so.0)" symbols-ra.txt
# Of libdot2hsm the other uses what any program may, and nothing more.
nm -D --undefined-only "$(find "$prefix" -name libdot2hsm-ra.so.0)" | awk '/DOT2HSM/ { print $2 }' |
    sed 's/@/@@/' | sort >"$work/used"
[ -s "$work/used" ] || fail "libdot2hsm-ra uses nothing of libdot2hsm"
[ -z "$(comm -23 "$work/used" <(sort "$SOURCE_DIR/tests/api/symbols.txt"))" ] ||
    fail "libdot2hsm-ra uses what is not public"

for header in "$prefix"/include/dot2hsm/*.h; do
    echo "#include <dot2hsm/$(basename "$header")>" >"$work/alone.c"
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I "$prefix/include" -fsyntax-only "$work/alone.c"
    g++ -x c++ -Wall -Wextra -Werror -I "$prefix/include" -fsyntax-only "$work/alone.c"
    ! grep -n 'include <\(openssl\|asn1\)' "$header" || fail "$header shows what is within"
done

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name dot2hsm.pc)")
export PKG_CONFIG_PATH
# example NAME PACKAGE: built as a vendor would.
example() {
    [ "$(wc -l <"$SOURCE_DIR/examples/$1.c")" -lt 100 ] || fail "the example $1 is too long"
    # shellcheck disable=SC2046
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror "$SOURCE_DIR/examples/$1.c" \
        $(pkg-config --cflags --libs "$2") -o "$work/$1"
}
example spdu dot2hsm
example ee dot2hsm
example ra dot2hsm-ra
# The same by CMake, in a project of its own.
mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(vendor C)
find_package(dot2hsm 0.1 REQUIRED)
add_executable(spdu $SOURCE_DIR/examples/spdu.c)
target_link_libraries(spdu dot2hsm::dot2hsm)
add_executable(ra $SOURCE_DIR/examples/ra.c)
target_link_libraries(ra dot2hsm::dot2hsm-ra)
END
cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" >"$work/cmake.log"
cmake --build "$work/project/build" >>"$work/cmake.log"

tokens ra rse
"$bin/dot2hsm" lab init "$work/lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse >/dev/null
provider=$(find "$prefix" -name dot2hsm.so)
LD_LIBRARY_PATH=$(dirname "$lib")
export LD_LIBRARY_PATH
run=("$work/spdu" "$provider" "$softhsm")
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

# An RA of the library; the device gets its application certificate from it by the command line, and
# then is the other example.
"$work/ra" "$provider" "$softhsm" "file:$work/ra.pin" pkcs11:token=ra "$work/lab" \
    >"$work/ra.port" 2>"$work/ra.log" &
ra=$!
for _ in $(seq 200); do
    [ -s "$work/ra.port" ] && break
    kill -0 "$ra" 2>/dev/null || fail "the RA ended"
    sleep 0.05
done
url=https://localhost:$(cat "$work/ra.port")
sed -i "s|^ra-url = .*|ra-url = $url|" "$work/lab/rse.conf"
file=$(basename "$work"/lab/ra/download/????????????????.zip)
state=$work/lab/rse/state
installed() { ls "$state"/application-*.oer 2>/dev/null; }
# Its CA is at work before it asks; on a loaded machine it may be late, and the device asks again.
setsid "$bin/dot2hsm" lab run --interval 50 "$work/lab" >"$work/cas.log" 2>&1 &
for _ in $(seq 120); do
    "$bin/dot2hsm" ee sync --config "$work/lab/rse.conf" >"$work/sync.log" 2>&1 || true
    [ -z "$(installed)" ] || break
    sleep 0.5
done
certificate=$(installed) || fail "the device has no application certificate"
application=$(sed -n 's/^key //p' "$state/state")
case $application in pkcs11:*) ;; *) fail "the application key is $application, not in the token" ;; esac
device=("$work/ee" "$provider" "$softhsm" "file:$work/rse.pin" "$url" "$work/lab" "$key")
expect 0 "${device[@]}" "$file" "$work/received" "$application" "$certificate" 0x82 hello
grep -qx 'hello: good, PSID 130' "$work/out" || fail "$(cat "$work/out")"
cmp "$work/received" "$work/lab/ra/download/$file"
grep -q "service=application-certificate status=200 file=$file" "$work/ra.log" || fail "the RA has not logged it"
# Another PSID than the certificate's; a file of another device; a blacklisted device.
expect 1 "${device[@]}" "$file" "$work/again" "$application" "$certificate" 0x20 hello
grep -q '^verify: DOT2HSM_E_PERMISSION' "$work/err" || fail "$(cat "$work/err")"
expect 1 "${device[@]}" 0123456789ABCDEF.zip "$work/other" "$application" "$certificate" 0x82 hello
grep -q '^download: DOT2HSM_E_REFUSED.* 5065 ' "$work/err" || fail "$(cat "$work/err")"
"$bin/dot2hsm" ra blacklist add --store "sqlite:$work/lab/ra/store.sqlite" \
    "$work/lab/rse/enrollment.oer" >/dev/null
expect 1 "${device[@]}" "$file" "$work/none" "$application" "$certificate" 0x82 hello
grep -q '^download: DOT2HSM_E_REFUSED.* 5055 ' "$work/err" || fail "$(cat "$work/err")"
[ ! -e "$work/none" ] || fail "a blacklisted device got its file"
kill -TERM "$ra"
wait "$ra" || fail "the RA ended with $?"
