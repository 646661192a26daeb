# Sourced by demo.sh and test.sh: installs what is missing on Debian 12, configures and builds.

readonly SETUP_BUILD_PACKAGES="gcc libc6-dev make cmake ninja-build pkg-config asn1c libssl-dev
    libp11-dev libp11-kit-dev libevent-dev libcurl4-openssl-dev libsqlite3-dev libpq-dev
    libcmocka-dev libzip-dev"
readonly SETUP_RUN_PACKAGES="openssl softhsm2 opensc p11-kit p11-kit-modules procps"
readonly SETUP_TEST_PACKAGES="clang libclang-rt-14-dev valgrind tshark git curl sqlite3 python3 xxd
    postgresql haproxy nginx-light mandoc g++ libnss3 libnss3-tools
    dbus-daemon swtpm swtpm-tools tpm2-abrmd tpm2-tools libtpm2-pkcs11-1 libtpm2-pkcs11-tools
    libtss2-tcti-swtpm0 libtss2-tcti-tabrmd0 systemd strace dpkg-dev file doxygen"
readonly SETUP_LONG_PACKAGES="debootstrap lintian systemd-container"

setup_missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            printf '%s ' "$package"
    done
}

# setup_packages PACKAGE...: as root or with sudo installs what is missing; otherwise names it and
# ends with 2.
setup_packages() {
    local missing as_root=()
    missing=$(setup_missing "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo)
        elif command -v sudo >/dev/null && [ -t 0 ]; then
            as_root=(sudo)
        else
            echo "These Debian packages are missing, and neither root nor sudo is at hand:" >&2
            echo "  $missing" >&2
            exit 2
        fi
    fi
    echo "== Installing: $missing"
    # shellcheck disable=SC2086
    if ! { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing; } >setup.log 2>&1; then
        cat setup.log >&2
        echo "apt-get could not install: $missing" >&2
        exit 2
    fi
    rm -f setup.log
}

# setup_build PRESET [TARGET...]: configures and builds into build/PRESET.
setup_build() {
    local preset=$1 launcher=()
    shift
    command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    echo "== Building ($preset)"
    mkdir -p "build/$preset"
    local log="build/$preset/setup.log"
    if ! { cmake --preset "$preset" "${launcher[@]}" &&
        cmake --build --preset "$preset" ${1:+--target "$@"}; } >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "The build failed; the whole of it is in $log" >&2
        exit 1
    fi
}
