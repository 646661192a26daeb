# lab.sh: sourced by the scripts here: a SoftHSM token, an openssl.cnf and the openssl program.
# Everything is in $lab, which is removed at the end.
set -eu
lab=$(mktemp -d)
background= # processes to be ended
finish() {
    status=$?
    if [ -n "$background" ]; then
        kill $background 2>/dev/null || true
        wait $background 2>/dev/null || true
    fi
    rm -rf "$lab"
    exit $status
}
trap finish EXIT

pin=739154
module=/usr/lib/softhsm/libsofthsm2.so
mkdir "$lab/tokens"
cat >"$lab/softhsm2.conf" <<CONF
directories.tokendir = $lab/tokens
objectstore.backend = file
log.level = ERROR
CONF
export SOFTHSM2_CONF="$lab/softhsm2.conf"
unset DOT2HSM_CONF OPENSSL_CONF OPENSSL_MODULES
softhsm2-util --init-token --free --label lab --pin $pin --so-pin 11223344 >/dev/null
(umask 077 && printf %s $pin >"$lab/pin")

# configuration FILE LINE...: an openssl.cnf with both providers and these options of dot2hsm.
configuration() {
    local file=$1
    shift
    {
        cat <<CONF
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = default_provider
dot2hsm = dot2hsm_provider
[default_provider]
activate = 1
[dot2hsm_provider]
activate = 1
module = $BUILD_DIR/lib/dot2hsm.so
CONF
        printf '%s\n' "$@"
        cat <<CONF
[req]
distinguished_name = req_name
[req_name]
CONF
    } >"$file"
}
configuration "$lab/openssl.cnf" "pkcs11-module = $module" "pin-source = file:$lab/pin"

# with dot2hsm, and without any trace of it
ours() { OPENSSL_CONF="$lab/openssl.cnf" openssl "$@"; }
plain() { OPENSSL_CONF=/dev/null openssl "$@"; }

step() { printf '%s\n' "-- $*"; }
die() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
# refused WORDS COMMAND...: it must fail, and say these words.
refused() {
    local words=$1
    shift
    if "$@" >"$lab/out" 2>"$lab/err" </dev/null; then
        die "was not refused: $*"
    fi
    grep -qi -- "$words" "$lab/out" "$lab/err" || {
        cat "$lab/out" "$lab/err" >&2
        die "no word of '$words' from: $*"
    }
}
