# Sourced by the tests of the commands: a temporary directory, SoftHSM2 tokens, checks.
# Needs BUILD_DIR and SOURCE_DIR in the environment, as ctest sets them.
set -euo pipefail

dot2hsm=$BUILD_DIR/bin/dot2hsm
module=/usr/lib/softhsm/libsofthsm2.so
work=$(mktemp -d)
trap 'status=$?; rm -rf "$work"; exit $status' EXIT
umask 077
cd "$work"
unset DOT2HSM_CONF
checks=0

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect STATUS COMMAND...: the command must end with this status; its output is in out and err.
expect() {
    local want=$1 got=0
    shift
    "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || {
        cat out err >&2
        fail "status $got instead of $want: $*"
    }
    # A sanitizer's finding must not pass as the refusal that is expected.
    ! grep -Eq 'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:' err || {
        cat err >&2
        fail "a sanitizer found something: $*"
    }
    checks=$((checks + 1))
}

# says FILE TEXT: the text stands in the file.
says() {
    grep -qF -- "$2" "$1" || {
        cat "$1" >&2
        fail "\"$2\" is not in $1"
    }
    checks=$((checks + 1))
}

# one_error: what went to stderr is one message (and, for usage, the hint after it).
one_error() {
    [ "$(grep -vc "^Try '" err)" -eq 1 ] || {
        cat err >&2
        fail "not one error message"
    }
}

# same FILE FILE
same() {
    cmp -- "$1" "$2" || fail "$1 and $2 differ"
    checks=$((checks + 1))
}

unhex() {
    tr -d ' \n' | xxd -r -p
}

# tokens LABEL...: SoftHSM2 tokens, each with its PIN in LABEL.pin.
tokens() {
    local token
    mkdir -p tokens
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
        "$work/tokens" >softhsm2.conf
    export SOFTHSM2_CONF=$work/softhsm2.conf
    for token in "$@"; do
        printf '%s' "pin-of-$token" >"$token.pin"
        softhsm2-util --init-token --free --label "$token" --pin "pin-of-$token" \
            --so-pin 87654321 >/dev/null
    done
}

# generate TOKEN LABEL CURVE: a signing key in a token.
generate() {
    "$dot2hsm" keys generate --module "$module" --pin-source "file:$work/$1.pin" --curve "$3" \
        --usage sign "pkcs11:token=$1;object=$2" >/dev/null
}

done_testing() {
    echo "$checks checks passed"
}
