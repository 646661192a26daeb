#!/usr/bin/env bash
# tests/bench/run.sh provider [--smoke] [--json FILE]
#
# The provider beside Debian's libengine-pkcs11-openssl and pkcs11-provider (bookworm-backports),
# which are fetched by apt into a temporary directory and not installed; a row that cannot be had is
# left out, and said. Ends with 0 if every target is met, 1 if one is missed, 2 if it could not run.
# --smoke: each step once, very short, whatever the targets say.
# BUILD_DIR (default: build/release) has the programs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$root/build/release}
work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; exit $status' EXIT

usage() {
    echo "usage: $0 provider [--smoke] [--json FILE]" >&2
    exit 2
}
[ "${1:-}" = provider ] || usage
shift
rounds=31 slice=15 far_slice=60 json='' smoke=no
while [ $# -gt 0 ]; do
    case $1 in
    --smoke) smoke=yes rounds=1 slice=2 far_slice=5 ;;
    --json)
        [ $# -gt 1 ] || usage
        json=$(realpath -m "$2")
        shift
        ;;
    *) usage ;;
    esac
    shift
done
unset OPENSSL_CONF OPENSSL_MODULES DOT2HSM_CONF

# ---- the others ----
# fetch PACKAGE FILE: the file within the package, in $work.
fetch() {
    local file
    file=$(cd "$work" && apt-get "${apt[@]}" download "$1" >/dev/null 2>&1 &&
        dpkg -x "$1"_*.deb "$1" && find "$work/$1" -name "$2" -type f | head -n1) || true
    [ -n "$file" ] || echo "bench: $1 cannot be had by apt here" >&2
    printf '%s' "$file"
}
engine='' other=''
if [ $smoke = no ]; then
    mkdir -p "$work/apt/lists/partial"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    printf 'deb [signed-by=%s] http://deb.debian.org/debian %s main\n' \
        $keyring bookworm $keyring bookworm-backports >"$work/apt/sources"
    apt=(-o "Dir::Etc::sourcelist=$work/apt/sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/apt/lists" -o APT::Sandbox::User=root)
    apt-get "${apt[@]}" update >/dev/null 2>&1 || echo "bench: apt-get update failed" >&2
    engine=$(fetch libengine-pkcs11-openssl pkcs11.so)
    apt+=(-t bookworm-backports)
    other=$(fetch pkcs11-provider pkcs11.so)
fi

# ---- a token ----
mkdir "$work/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
    "$work/tokens" >"$work/softhsm2.conf"
export SOFTHSM2_CONF=$work/softhsm2.conf
softhsm=/usr/lib/softhsm/libsofthsm2.so
softhsm2-util --init-token --free --label bench --pin 739154 --so-pin 11223344 >/dev/null
(umask 077 && printf 739154 >"$work/pin")
for key in sign derive; do
    "$build/bin/dot2hsm" keys generate --module $softhsm --pin-source "file:$work/pin" \
        --curve P-256 --usage $key "pkcs11:token=bench;object=$key" >/dev/null
done

export BENCH_TOKEN=bench BENCH_PIN=739154 BENCH_PIN_FILE=$work/pin
export BENCH_DOT2HSM=$build/lib/dot2hsm.so BENCH_PKCS11_PROVIDER=$other BENCH_ENGINE=$engine

# ---- a configuration each, for the cold start ----
"$build/bin/dot2hsm" config --module $softhsm --token pkcs11:token=bench \
    --pin-source "file:$work/pin" --out "$work/dot2hsm.cnf"
printf '%s\n' 'openssl_conf = a' '[a]' 'providers = b' '[b]' 'default = c' 'pkcs11 = d' '[c]' \
    'activate = 1' '[d]' "module = $other" "pkcs11-module-path = $softhsm" \
    "pkcs11-module-token-pin = file:$work/pin" 'activate = 1' >"$work/other.cnf"
printf '%s\n' 'openssl_conf = a' '[a]' 'engines = b' '[b]' 'pkcs11 = c' '[c]' 'engine_id = pkcs11' \
    "dynamic_path = $engine" "MODULE_PATH = $softhsm" 'PIN = 739154' 'init = 0' >"$work/engine.cnf"
head -c 1000 /dev/zero >"$work/data"
key='pkcs11:token=bench;object=sign;type=private'
sign() {
    printf "OPENSSL_CONF=%s exec openssl dgst -sha256 %s -sign '%s' -out %s %s 2>%s" \
        "$work/$1.cnf" "${2:-}" "$key" "$work/$1.sig" "$work/data" "$work/$1.err"
}
COLD_DOT2HSM=$(sign dot2hsm)
COLD_PKCS11_PROVIDER='' COLD_ENGINE=''
[ -z "$other" ] || COLD_PKCS11_PROVIDER=$(sign other)
[ -z "$engine" ] || COLD_ENGINE=$(sign engine '-engine pkcs11 -keyform engine')
export COLD_DOT2HSM COLD_PKCS11_PROVIDER COLD_ENGINE

# ---- run ----
status=0
: >"$work/rows"
run() {
    local got=0
    "$build/tests/bench_provider" "$1" "$rounds" "$2" "$work/part" || got=$?
    [ $got -lt 2 ] || exit $got
    [ $got -eq 0 ] || status=1
    if [ -s "$work/part" ]; then
        [ ! -s "$work/rows" ] || printf ',' >>"$work/rows"
        cat "$work/part" >>"$work/rows"
        rm -f "$work/part"
    fi
}
printf '%-44s %s  %7s  %s\n' name threads ratio target
BENCH_MODULE=$softhsm run local "$slice"
"$build/tests/shimctl" "$work/state" create
SHIM_MODULE=$softhsm SHIM_STATE=$work/state BENCH_MODULE=$build/tests/p11shim.so run far "$far_slice"
run cold 1
if [ -n "$other" ] && [ -s "$work/other.err" ]; then
    echo "bench: pkcs11-provider, cold: $(tail -n1 "$work/other.err")" >&2
fi
[ -z "$json" ] || printf '[%s\n]\n' "$(cat "$work/rows")" >"$json"
[ $smoke = no ] || status=0
exit $status
