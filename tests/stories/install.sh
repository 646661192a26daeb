#!/usr/bin/env bash
# What `cmake --install` puts into a prefix works from there: programs, provider, library, manual,
# examples, units, completion.
. "$SOURCE_DIR/tests/security/lib.sh"
unset DOT2HSM_MODULES

cmake --install "$BUILD_DIR" --prefix "$work/prefix" >/dev/null
bin=$work/prefix/bin
modules=$(pkg-config --variable=modulesdir libcrypto)
openssl=$(pkg-config --variable=prefix libcrypto)
# OpenSSL's own directory, below another prefix.
provider=$work/prefix${modules#"$openssl"}/dot2hsm.so
for file in "${provider#"$work/prefix/"}" share/man/man1/dot2hsm.1 share/man/man5/dot2hsm.conf.5 \
    share/man/man7/dot2hsm-provider.7 share/man/man8/dot2hsm-ra.8 \
    share/doc/dot2hsm/ra.conf.example share/doc/dot2hsm/dot2hsm.conf.example \
    include/dot2hsm/dot2hsm.h lib/systemd/system/dot2hsm-ra.service \
    lib/systemd/system/dot2hsm-ee-sync.service lib/systemd/system/dot2hsm-ee-sync.timer \
    lib/sysusers.d/dot2hsm.conf lib/tmpfiles.d/dot2hsm.conf \
    share/bash-completion/completions/dot2hsm share/bash-completion/completions/dot2hsm-ra; do
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

# All of it moves: pkg-config's file says where it lies now.
mv "$work/prefix" "$work/moved"
expect 0 "$work/moved/bin/dot2hsm" keys list --help
pc=$(dirname "$(find "$work/moved" -name dot2hsm.pc)")
printf '#include <stdio.h>\n#include <dot2hsm/dot2hsm.h>\nint main(void)\n{\n%s\n}\n' \
    'puts(dot2hsm_status_name(DOT2HSM_OK)); return 0;' >"$work/user.c"
# shellcheck disable=SC2046
cc -o "$work/user" "$work/user.c" $(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs dot2hsm)
[ "$(LD_LIBRARY_PATH=$(dirname "$pc") "$work/user")" = DOT2HSM_OK ] || fail "the library does not work"

# An absolute directory for the provider holds whatever the prefix is, and the programs know it.
# Configured alone: the definition is what is looked at, and nothing is built for it.
expect 0 cmake -S "$SOURCE_DIR" -B "$work/absolute" -DDOT2HSM_TESTS=OFF \
    "-DDOT2HSM_MODULESDIR=$work/modules"
grep -qF "file(INSTALL DESTINATION \"$work/modules\"" "$work/absolute/provider/cmake_install.cmake" ||
    fail "the provider is not installed where it was asked for"
grep -qF "DOT2HSM_PROVIDER_DIR=\\\\\\\"$work/modules" "$work/absolute/compile_commands.json" ||
    fail "the programs do not know where the provider is"
