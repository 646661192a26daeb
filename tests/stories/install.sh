#!/usr/bin/env bash
# What `cmake --install` puts into a prefix works from there: programs, provider, manual, examples.
. "$SOURCE_DIR/tests/security/lib.sh"
unset DOT2HSM_MODULES

cmake --install "$BUILD_DIR" --prefix "$work/prefix" >/dev/null
bin=$work/prefix/bin
provider=$(find "$work/prefix" -name dot2hsm.so)
[ "$(basename "$(dirname "$provider")")" = ossl-modules ] || fail "the provider is in $provider"
for file in share/man/man1/dot2hsm.1 share/man/man5/dot2hsm.conf.5 share/man/man7/dot2hsm-provider.7 \
    share/man/man8/dot2hsm-ra.8 share/doc/dot2hsm/ra.conf.example \
    share/doc/dot2hsm/dot2hsm.conf.example; do
    [ -s "$work/prefix/$file" ] || fail "$file was not installed"
done
expect 0 "$bin/dot2hsm" --help
expect 0 "$bin/dot2hsm-ra" --help
openssl list -providers -provider-path "$(dirname "$provider")" -provider dot2hsm >"$work/out"
grep -q dot2hsm "$work/out" || fail "openssl does not load the installed provider"

expect 0 "$bin/dot2hsm" lab init "$work/lab"
# Before what is last in the file: keys of sections do not mix.
sed -e 's/^port = .*/port = 0/' "$work/lab/ra.conf" >"$work/ra.conf"
echo "port-file = $work/ra.port" >>"$work/ra.conf"
ra_start "$work/ra.conf"
file=$(basename "$work"/lab/ra/download/????????????????.zip)
expect 0 "$bin/dot2hsm" ee download --config "$work/lab/rse.conf" \
    --ra-url "https://localhost:$port" --out "$work/received" "$file"
cmp "$work/received" "$work/lab/ra/download/$file"
kill -TERM "$ra"
wait "$ra" || fail "the RA ended with $?"
