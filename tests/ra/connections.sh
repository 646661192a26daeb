#!/usr/bin/env bash
# Connections that end badly, or not at all, or are too many, and descriptors that run out: nothing
# is left of them, others are served meanwhile or again, and the log says what there was.
. "$SOURCE_DIR/tests/security/lib.sh"

resets=2 idle=200
[ -z "${DOT2HSM_LONG:-}" ] || resets=300 idle=5000
lab=$work/lab
"$bin/dot2hsm" lab init "$lab" >/dev/null
name=0011223344556677.zip
{
    sed -E '/^(url-base|certificate-delay) *=/d; s/^port *=.*/port = 0/' "$lab/ra.conf"
    cat <<EOC
[ra]
threads = 2
tolerance = 3600
port-file = $work/ra.port
metrics-port = 0
metrics-port-file = $work/metrics.port
max-per-address = 100000
max-connections = $idle
one-application-request = no
max-requests = 0
header-deadline = 1
body-deadline = 1
write-deadline = 1
idle-timeout = 1
EOC
} >"$work/ra.conf"
# Idle ones are to stay as long as it takes to open them all.
sed 's/^\(header-deadline\|idle-timeout\) = .*/\1 = 600/' "$work/ra.conf" >"$work/idle.conf"
"$bin/dot2hsm" ra files assign --config "$work/ra.conf" "$name" "$lab/obe/enrollment.oer" >/dev/null
head -c 20000000 /dev/zero >"$lab/ra/download/$name"
device=("$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer")
printf %s "$("$tools/ra_client" header "${device[@]}" "$name")" >"$work/header"
"$tools/ra_client" body app "${device[@]}" >"$work/body"
# peers WHAT [ARGS...]
peers() {
    local what=$1
    shift
    python3 "$SOURCE_DIR/tests/ra/peers.py" "$what" "$lab/trust/x509-root.pem" "$port" \
        "$(cat "$work/metrics.port")" "$@"
}
# A thread of its own writes the log.
logged() {
    for _ in $(seq 100); do
        ! grep -q "$1" "$work/ra.log" || return 0
        sleep 0.05
    done
    fail "$1 is not in the log"
}
stop() {
    kill -TERM "$ra"
    wait "$ra" || fail "ended with $?"
}

case $1 in
resets)
    ra_start "$work/ra.conf"
    peers resets "$work/header" "$work/body" "$resets" "$SANITIZE"
    logged "event=closed reason=tls_handshake"
    logged "event=closed reason=request_incomplete"
    logged "event=aborted"
    # Read or not, and told or not: it is stored once, or it is not.
    rows=$(sqlite3 "$lab/ra/store.sqlite" "SELECT count(*) FROM requests")
    [ "$rows" -le 1 ] || fail "the body is stored $rows times"
    stop
    ;;
gone)
    # An interface of its own, to switch off.
    if [ -z "${GONE_INSIDE:-}" ]; then
        unshare -rn true || fail "no network namespace is to be had"
        trap - EXIT
        rm -rf "$work"
        GONE_INSIDE=1 exec unshare -rn bash "$0" gone
    fi
    python3 "$SOURCE_DIR/tests/ra/peers.py" up
    ra_start "$work/ra.conf"
    peers gone "$work/header" 1
    logged "event=closed reason=write_timeout"
    logged "event=closed reason=header_timeout"
    logged "event=closed reason=handshake_timeout"
    stop
    ;;
stopped)
    # A device that stands still (SIGSTOP) at each of its calls of send() and recv() in a sync, each
    # such device a process of its own, and one in the middle of a large download; then all go on.
    echo "certificate-delay = 2" >>"$work/ra.conf"
    ra_start "$work/ra.conf"
    sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" "$lab"/*.conf
    client() { # STATE: a sync of the device whose state-dir this is
        sed "s#^state-dir.*#state-dir = $work/$1#" "$lab/rse.conf" >"$work/$1.conf"
        LD_PRELOAD=$tools/stop_shim.so exec "$bin/dot2hsm" ee sync --config "$work/$1.conf"
    }
    (STOP_CALLS=$work/calls client whole) >"$work/whole.out" 2>&1 || fail "$(cat "$work/whole.out")"
    calls=$(cat "$work/calls")
    [ "$calls" -ge 20 ] || fail "$calls calls only: the shim is not used"
    read -r memory descriptors < <(peers settled)
    pids=()
    step=4
    [ -z "${DOT2HSM_LONG:-}" ] || step=1
    for at in $(seq 1 "$step" "$calls"); do
        (STOP_AT=$at client "device$at") >"$work/device$at.out" 2>&1 &
        pids[at]=$!
    done
    STOP_AT=300 LD_PRELOAD=$tools/stop_shim.so "$bin/dot2hsm" ee download --config "$lab/obe.conf" \
        -o "$work/large.zip" "$name" >"$work/large.out" 2>&1 &
    pids[0]=$!
    # One call more or less, and the last of them has ended by itself.
    for pid in "${pids[@]}"; do
        for _ in $(seq 200); do
            grep -q "^State:.*sleeping\|^State:.*running\|^State:.*disk" "/proc/$pid/status" 2>/dev/null ||
                break
            sleep 0.05
        done
    done
    # All are given up while they stand still, and what they took is free.
    read -r full left < <(peers settled)
    # A few more are of the store, which each thread opens when it first needs it.
    [ "$left" -le $((descriptors + 4)) ] || fail "$left descriptors are left of $descriptors"
    [ $((full - memory)) -le 16384 ] || fail "memory grew by $((full - memory)) kB"
    logged "event=closed reason=write_timeout"
    logged "event=closed reason=handshake_timeout"
    [ "$step" != 1 ] || logged "event=closed reason=header_timeout"
    kill -CONT "${pids[@]}" 2>/dev/null || true
    ended=0
    for at in 0 $(seq 1 "$step" "$calls"); do
        status=0
        wait "${pids[at]}" || status=$?
        out=$work/device$at.out
        [ "$at" != 0 ] || out=$work/large.out
        [ "$status" = 0 ] || [ "$status" = 1 ] || [ "$status" = 3 ] ||
            fail "stopped at $at: status $status: $(cat "$out")"
        [ "$status" = 0 ] || grep -q -e "cannot be reached" -e "refused" "$out" ||
            fail "stopped at $at: $(cat "$out")"
        [ "$status" = 0 ] || ended=$((ended + 1))
    done
    count=$((${#pids[@]} - 1))
    echo "$count devices stopped, $ended told that the RA was gone; memory grew by $((full - memory)) kB"
    [ "$ended" -ge 5 ] || fail "only $ended were stopped in the middle"
    grep -q "octets are kept, and the next try goes on there" "$work/large.out" ||
        fail "the download: $(cat "$work/large.out")"
    "$bin/dot2hsm" ee download --config "$lab/obe.conf" -o "$work/large.zip" "$name" >"$work/large.out" 2>&1 ||
        fail "the download again: $(cat "$work/large.out")"
    grep -qi "resumed" "$work/large.out" || fail "not resumed: $(cat "$work/large.out")"
    cmp "$work/large.zip" "$lab/ra/download/$name" || fail "another file"
    # Each device comes to its certificate, by one request.
    setsid "$bin/dot2hsm" lab run --interval 50 "$lab" >"$work/cas.log" 2>&1 &
    for at in $(seq 1 "$step" "$calls"); do
        sed -i '/^failure /d; /^in-a-row /d' "$work/device$at/state"
        timeout 60 "$bin/dot2hsm" ee sync --wait --config "$work/device$at.conf" \
            >"$work/device$at.out" 2>&1 &
        pids[at]=$!
    done
    for at in $(seq 1 "$step" "$calls"); do
        wait "${pids[at]}" || fail "device $at: $(cat "$work/device$at.out")"
    done
    rows=$(sqlite3 "$lab/ra/store.sqlite" "SELECT count(*) FROM requests")
    [ "$rows" = $((count + 1)) ] || fail "$rows requests of $((count + 1)) devices"
    stop
    ;;
idle)
    ra_start "$work/idle.conf"
    peers idle "$idle" "$SANITIZE"
    logged "event=closed reason=too_many_connections.*in all"
    stop
    ;;
descriptors)
    ulimit -n 230
    ra_start "$work/idle.conf"
    peers descriptors "$work/body" "$ra"
    logged 'event=connections_limited detail="130, '
    logged "event=accept_failed"
    lines=$(grep -c "event=accept_failed" "$work/ra.log")
    [ "$lines" -le 8 ] || fail "$lines lines about the same"
    python3 "$SOURCE_DIR/tests/ra/peers.py" metrics "$(cat "$work/metrics.port")" "$ra"
    stop
    ;;
esac
