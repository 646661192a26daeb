# Sourced by the stories of this folder: a temporary directory, tokens, a laboratory, an RA.
# Needs BUILD_DIR and SOURCE_DIR in the environment, as ctest sets them.
set -euo pipefail

bin=$BUILD_DIR/bin
tools=$BUILD_DIR/tests
softhsm=/usr/lib/softhsm/libsofthsm2.so
work=$(mktemp -d)
umask 077

story_end() {
    local status=$? pid how=TERM
    trap - EXIT
    [ "$status" -eq 0 ] || how=KILL # who waits for an answer would wait for long
    # Only what runs: the number of one that has ended may be somebody else's by now.
    for pid in $(jobs -rp) $(jobs -sp); do
        kill -s "$how" -- "-$pid" 2>/dev/null || kill -s "$how" "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] && { echo "---- $log"; tail -n 30 "$log"; }
        done >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap story_end EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect STATUS COMMAND...: the command must end with this status.
expect() {
    local want=$1 got=0
    shift
    "$@" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" -eq "$want" ] || {
        cat "$work/out" "$work/err" >&2
        fail "status $got instead of $want: $*"
    }
}

# tokens LABEL...: SoftHSM2 tokens, each with its PIN in $work/LABEL.pin.
tokens() {
    local slot=0 token
    mkdir "$work/tokens"
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
        "$work/tokens" >"$work/softhsm2.conf"
    export SOFTHSM2_CONF=$work/softhsm2.conf
    for token in "$@"; do
        printf '%s' "pin-of-$token" >"$work/$token.pin"
        softhsm2-util --init-token --free --label "$token" --pin "pin-of-$token" --so-pin 87654321 \
            >/dev/null
        slot=$((slot + 1))
    done
}

# ra_start [CONFIG]: starts dot2hsm-ra; $ra is its process, $port its port, $work/ra.log its log.
ra_start() {
    local config=${1:-$work/lab/ra.conf}
    rm -f "$work/ra.port"
    setsid "$bin/dot2hsm-ra" "$config" >>"$work/ra.log" 2>&1 &
    ra=$!
    for _ in $(seq 200); do
        [ -s "$work/ra.port" ] && break
        kill -0 "$ra" 2>/dev/null || fail "the RA ended"
        sleep 0.05
    done
    [ -s "$work/ra.port" ] || fail "the RA did not start"
    port=$(cat "$work/ra.port")
}

# shim_start MODULE: puts the counting module in front; $shim is its path, $state its state.
shim_start() {
    export SHIM_MODULE=$1 SHIM_STATE=$work/shim.state
    shim=$tools/p11shim.so
    state=$SHIM_STATE
    "$tools/shimctl" "$state" create
}
calls() {
    "$tools/shimctl" "$state" count "$1"
}
