#!/usr/bin/env bash
# The Debian packages: what is in them, what they depend on, what lintian has to say, and that they
# work from where they belong. With DOT2HSM_LONG they are installed into a bare Debian (debootstrap),
# the demonstration is run from there, it is booted and the units are run, and they are removed again.
. "$SOURCE_DIR/tests/security/lib.sh"
unset DOT2HSM_MODULES

expect 0 cpack --config "$BUILD_DIR/CPackConfig.cmake" -B "$work/packages"
cd "$work/packages"
version=$(sed -n 's/^project(dot2hsm VERSION \([0-9.]*\) .*/\1/p' "$SOURCE_DIR/CMakeLists.txt")
architecture=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
[ "$(ls ./*.deb | wc -l)" -eq 3 ] || fail "$(ls)"
grep -q "^dot2hsm ($version) " "$SOURCE_DIR/packaging/debian/changelog" ||
    fail "the changelog of the packages is not of version $version"

# package NAME: its file.
package() {
    echo "$work/packages/$1_${version}_$architecture.deb"
}
# holds NAME PATH...: these are in it, and not in the others; all is root's, who alone writes, and
# everybody's to read, with the umask of 077 that this runs with, too.
holds() {
    local name=$1 path other
    shift
    dpkg-deb -c "$(package "$name")" >"$work/list"
    ! awk '$2 != "root/root" || $1 !~ /^(lrwxrwxrwx|-rw-r--r--|-rwxr-xr-x|drwxr-xr-x)$/' \
        "$work/list" | grep . || fail "$name has files with other rights"
    for path in "$@"; do
        grep -qE " \./$path( ->.*)?\$" "$work/list" || {
            cat "$work/list" >&2
            fail "$name has no $path"
        }
        for other in dot2hsm libdot2hsm0 libdot2hsm-dev; do
            [ "$other" = "$name" ] || ! dpkg-deb -c "$(package "$other")" | grep -qE " \./$path( |\$)" ||
                fail "$path is in $other, too"
        done
    done
}
holds libdot2hsm0 "usr/lib/$multiarch/libdot2hsm.so.0" "usr/lib/$multiarch/libdot2hsm.so.$version" \
    "${modules:=$(pkg-config --variable=modulesdir libcrypto | cut -c2-)}/dot2hsm.so" \
    usr/share/man/man7/dot2hsm-provider.7.gz usr/share/doc/libdot2hsm0/copyright
holds dot2hsm usr/bin/dot2hsm usr/bin/dot2hsm-ra usr/lib/systemd/system/dot2hsm-ra.service \
    usr/lib/systemd/system/dot2hsm-ee-sync.service usr/lib/systemd/system/dot2hsm-ee-sync.timer \
    usr/lib/sysusers.d/dot2hsm.conf usr/lib/tmpfiles.d/dot2hsm.conf \
    usr/share/bash-completion/completions/dot2hsm usr/share/bash-completion/completions/dot2hsm-ra \
    usr/share/man/man1/dot2hsm.1.gz usr/share/man/man5/dot2hsm.conf.5.gz \
    usr/share/man/man8/dot2hsm-ra.8.gz usr/share/doc/dot2hsm/ra.conf.example \
    usr/share/doc/dot2hsm/dot2hsm.conf.example usr/share/doc/dot2hsm/copyright
holds libdot2hsm-dev usr/include/dot2hsm/dot2hsm.h "usr/lib/$multiarch/libdot2hsm.so" \
    "usr/lib/$multiarch/pkgconfig/dot2hsm.pc" usr/share/doc/libdot2hsm-dev/copyright
# All that is installed is in one of them.
cmake --install "$BUILD_DIR" --prefix "$work/prefix" >/dev/null
(cd "$work/prefix" && find . ! -type d | sed 's|^\./|usr/|') | sort >"$work/installed"
for deb in ./*.deb; do
    dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $6 }' | sed -e 's|^\./||' -e 's|\(/man/.*\)\.gz$|\1|'
done | grep -v '^usr/share/doc/[^/]*/\(copyright\|changelog.gz\)$' | sort >"$work/packed"
diff "$work/installed" "$work/packed" || fail "installed and packed differ"

# needs NAME WORD...: these are among its dependencies.
needs() {
    local name=$1 word depends
    depends=", $(dpkg-deb -f "$(package "$name")" Depends), "
    shift
    for word in "$@"; do
        [[ $depends == *", $word"[\ ,]* ]] || fail "$name does not depend on $word: $depends"
    done
}
needs libdot2hsm0 libc6 libssl3 libp11-3
needs dot2hsm "libdot2hsm0 (= $version)" libssl3 libcurl4 libevent-2.1-7 libpq5 libsqlite3-0 libzip4 \
    "systemd | systemd-standalone-sysusers"
needs libdot2hsm-dev "libdot2hsm0 (= $version)"

# Each shared library has its line, and the linker is told.
mkdir control root
dpkg-deb -e "$(package libdot2hsm0)" control
grep -qx 'activate-noawait ldconfig' control/triggers || fail "ldconfig would not run"
for deb in ./*.deb; do
    dpkg-deb -x "$deb" root
done
for library in root/usr/lib/"$multiarch"/lib*.so.0; do
    name=$(basename "$library" .so.0)
    grep -q "^$name 0 libdot2hsm0 (>= " control/shlibs || fail "$name has no line in shlibs"
done

# They run from there, with the provider beside them; what is for /usr names no other prefix.
bin=$PWD/root/usr/bin
expect 0 "$bin/dot2hsm" --version
grep -qF "$version" "$work/out" || fail "another version"
expect 0 "$bin/dot2hsm" lab init "$work/lab"
expect 0 "$bin/dot2hsm-ra" --check "$work/lab/ra.conf"
grep -qx 'ExecStart=/usr/bin/dot2hsm-ra /etc/dot2hsm/ra.conf' \
    root/usr/lib/systemd/system/dot2hsm-ra.service || fail "the unit starts another program"
for unwanted in "$BUILD_DIR" "$SOURCE_DIR" /usr/local; do
    ! grep -rlF "$unwanted" root control || fail "$unwanted is named in a package"
done
if [ -z "${DOT2HSM_LONG:-}" ]; then
    echo "packages: made, complete, and working where they were unpacked"
    exit 0
fi

# ---- the long form ----
[ "$(id -u)" -eq 0 ] || fail "debootstrap needs root"
# cpack writes these calls for every library, beside the trigger, and has no switch for it.
lintian --allow-root --fail-on error,warning --suppress-tags maintscript-calls-ldconfig ./*.deb ||
    fail "lintian"

# The machine's own mirror, in either form of apt's sources.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
    /etc/apt/sources.list 2>/dev/null |
    sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[.*\] \)*\(http[^ ]*\) .*/\2/p' |
    head -n 1 || true)
tree=$work/debian
debootstrap --variant=minbase bookworm "$tree" "${mirror:-http://deb.debian.org/debian}" \
    >"$work/debootstrap.log" 2>&1 || fail "debootstrap"
# In a mount name space of its own: what is mounted in the tree goes away with the command.
in_tree() {
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/tmp" || exit 100
        exec chroot "$0" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"' "$tree" "$@"
}
umask 022
mkdir "$tree/root/packages" "$tree/root/demo" "$tree/root/demo/cmake"
cp ./*.deb "$tree/root/packages"
cp "$SOURCE_DIR/demo.sh" "$tree/root/demo"
cp "$SOURCE_DIR/cmake/setup.sh" "$tree/root/demo/cmake"
expect 0 in_tree apt-get update -q
# apt-get install ./*.deb, and the tokens of the demonstration.
expect 0 in_tree sh -c 'apt-get install -q -y --no-install-recommends /root/packages/*.deb \
    softhsm2 opensc openssl procps'
expect 0 in_tree dpkg --audit
[ ! -s "$work/out" ] || fail "$(cat "$work/out")"

# The user and the directories are there, and OpenSSL finds the provider by its name alone.
expect 0 in_tree stat -c %U:%G:%a /etc/dot2hsm /var/lib/dot2hsm
[ "$(tr '\n' ' ' <"$work/out")" = "root:dot2hsm:750 dot2hsm:dot2hsm:750 " ] || fail "$(cat "$work/out")"
expect 0 in_tree openssl list -providers -provider dot2hsm
grep -q dot2hsm "$work/out" || fail "openssl does not find the provider"
expect 0 in_tree bash -c '. /usr/share/bash-completion/completions/dot2hsm
    COMP_WORDS=(dot2hsm ke) COMP_CWORD=1; _dot2hsm; [ "${COMPREPLY[*]}" = keys ]'
expect 0 in_tree /root/demo/demo.sh --installed
grep -q '^All of it held' "$work/out" || fail "the demonstration did not end as it should"
grep -c checked: "$work/out" | sed 's/$/ checks of the demonstration held/'

# Booted by systemd, the units do what they are for.
expect 0 in_tree apt-get install -q -y --no-install-recommends systemd-sysv dbus
install -m 755 "$SOURCE_DIR/tests/stories/booted.sh" "$tree/root"
systemd-nspawn --quiet --register=no --keep-unit --private-network --boot -D "$tree" \
    >"$work/boot.log" 2>&1 </dev/null &
nspawn=$!
in_machine() {
    local init
    init=$(pgrep -P "$nspawn" -x systemd) && nsenter -t "$init" -a env -i HOME=/root \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
for _ in $(seq 120); do
    ! in_machine test -S /run/systemd/private 2>/dev/null || break
    sleep 0.5
done
in_machine systemctl is-system-running --wait >/dev/null || {
    cat "$work/boot.log" >&2
    fail "systemd has not booted: $(in_machine systemctl --failed --no-legend)"
}
expect 0 in_machine /root/booted.sh
cat "$work/out"
in_machine systemctl poweroff
wait "$nspawn" || fail "the machine ended with $?"

# And away again: what is the operator's stays.
purge() {
    expect 0 in_tree apt-get purge -q -y dot2hsm libdot2hsm0 libdot2hsm-dev
    expect 0 in_tree test -e /etc/dot2hsm/ra.pin
    expect 1 in_tree test -e /usr/bin/dot2hsm
}
purge
expect 0 in_tree test -e /var/lib/dot2hsm/lab/ra/store.sqlite
expect 0 in_tree sh -c 'rm -r /var/lib/dot2hsm/* && apt-get install -q -y /root/packages/*.deb'
purge
expect 1 in_tree test -e /var/lib/dot2hsm
echo "packages: installed into a bare Debian, demonstrated, booted, removed"
