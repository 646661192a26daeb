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
logged() { grep -q "$1" "$work/ra.log" || fail "$1 is not in the log"; }
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
