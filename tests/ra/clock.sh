#!/usr/bin/env bash
# The clock of a running server jumps: by an hour forth and back, by a leap second, by ten years. A
# request is judged by the clock as it is, a certificate that was found good before as well, and what
# waits for a time-out neither ends early nor waits for ever.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab
"$bin/dot2hsm" lab init "$lab" >/dev/null
name=0011223344556677.zip
{
    sed 's/^port = .*/port = 0/' "$lab/ra.conf"
    cat <<EOC
[ra]
threads = 1
tolerance = 30
header-deadline = 4
port-file = $work/ra.port
EOC
} >"$work/ra.conf"
"$bin/dot2hsm" ra files assign --config "$work/ra.conf" "$name" "$lab/obe/enrollment.oer" >/dev/null
echo octets >"$lab/ra/download/$name"

# at CLOCK OFFSET [TAI]: sets server or device by so many seconds from the true time.
at() {
    echo "$2 ${3:-0}" >"$work/$1.new"
    mv "$work/$1.new" "$work/$1"
}
at server 0
at device 0
# get: the status of a download whose request is made by the device's clock.
get() {
    CLOCK_SHIM=$work/device LD_PRELOAD=$tools/clock_shim.so "$tools/ra_client" header \
        "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer" "$name" >"$work/header"
    curl -s -o "$work/body" -w '%{http_code}' --max-time 10 --cacert "$lab/trust/x509-root.pem" \
        --resolve "localhost:$port:127.0.0.1" -H "Download-Req: $(cat "$work/header")" \
        "https://localhost:$port/download/application-certificate" || true
}
# served WHAT, refused REASON WHAT
served() {
    local got
    got=$(get)
    [ "$got" = 200 ] || fail "$1: $got"
}
refused() {
    local got before
    before=$(grep -c "event=refused reason=$1 " "$work/ra.log") || true
    got=$(get)
    [ "$got" = 500 ] || fail "$2: $got"
    [ "$(grep -c "event=refused reason=$1 " "$work/ra.log")" = $((before + 1)) ] ||
        fail "$2: refused for something else than $1"
}

CLOCK_SHIM=$work/server LD_PRELOAD=$tools/clock_shim.so ra_start "$work/ra.conf"
served "at first"
# A connection that says nothing: its deadline is 4 seconds by no clock that can be set.
exec 3<>"/dev/tcp/127.0.0.1/$port"
begin=$(date +%s%N)
for hour in 3600 -3600; do
    at server "$hour"
    refused time "a device that is an hour off"
    at device "$hour"
    served "both are $hour s off"
    at server 0
    refused time "the server's clock is set right"
    at device 0
    served "both are right"
done
cat <&3 >/dev/null # until the server ends it
waited=$((($(date +%s%N) - begin) / 1000000))
[ "$waited" -ge 3500 ] || fail "ended by a clock that jumped, after $waited ms"
[ "$waited" -le 9000 ] || fail "not ended for $waited ms"
grep -q "event=closed reason=handshake_timeout" "$work/ra.log" || fail "the log has no handshake_timeout"

# A leap second: Unix time says a second again, TAI goes on. Told by the kernel, or by our table.
at server 0 37
served "a TAI offset that the kernel knows"
at server -1 38
served "a second was inserted"
refused_before=$(grep -c event=refused "$work/ra.log")
at server -100 137 # if TAI were not followed, this would be 100 s off
served "the TAI offset is followed"
[ "$(grep -c event=refused "$work/ra.log")" = "$refused_before" ] || fail "a refusal"
# The certificate was verified and is kept, but has ended by now; it has not when the clock goes back.
at server 315360000
at device 315360000
refused certificate "ten years later"
at server 0
at device 0
served "ten years earlier"

kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
echo "clock: judged by what it says"
