#!/usr/bin/env bash
# The figures of dot2hsm-ra: in Prometheus' text format, the right ones, and no more of them because
# of what peers send. And its log as JSON, with a request id in each line of a request.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab
tokens ra
"$bin/dot2hsm" lab init "$lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra >/dev/null
echo crl >"$work/composite.crl"
{
    sed 's/^port = .*/port = 0/' "$lab/ra.conf"
    cat <<EOC
[ra]
threads = 2
tolerance = 60
port-file = $work/ra.port
crl-file = $work/composite.crl
crl-port = 0
crl-port-file = $work/crl.port
metrics-port = 0
metrics-port-file = $work/metrics.port
log = $work/events
log-format = json
EOC
} >"$work/ra.conf"
ra_start "$work/ra.conf"
metrics=$(cat "$work/metrics.port")

# ask PORT PATH [CURL-OPTION...]: the status.
ask() {
    local at=$1 path=$2
    shift 2
    curl -s -o "$work/answer" -w '%{http_code}' --path-as-is --cacert "$lab/trust/x509-root.pem" \
        --resolve "localhost:$at:127.0.0.1" "$@" "https://localhost:$at$path" || true
}
# figures NAME: scraped into $work/NAME, and well formed.
figures() {
    curl -sf -D "$work/headers" -o "$work/$1" "http://127.0.0.1:$metrics/metrics" || fail "no figures"
    python3 "$SOURCE_DIR/tests/ra/metrics.py" check "$work/$1" || fail "$1 is not well formed"
}
# is NAME SAMPLE VALUE
is() {
    local got
    got=$(python3 "$SOURCE_DIR/tests/ra/metrics.py" value "$work/$1" "$2")
    [ "$got" = "$3" ] || fail "$1: $2 is $got, not $3"
}
at_least() {
    local got
    got=$(python3 "$SOURCE_DIR/tests/ra/metrics.py" value "$work/$1" "$2")
    awk "BEGIN { exit !($got >= $3) }" || fail "$1: $2 is $got, less than $3"
}
requests() { printf 'dot2hsm_ra_requests_total{service="%s",result="%s"}' "$1" "$2"; }

figures start
grep -qi '^content-type: text/plain; version=0.0.4' "$work/headers" || fail "content type"
is start "$(requests application-certificate served)" 0
is start "$(requests crl served)" 0
is start dot2hsm_ra_connections_total 0
is start dot2hsm_ra_loops 4
at_least start dot2hsm_hsm_sessions 1
at_least start process_open_fds 10
at_least start process_resident_memory_bytes 1000000
at_least start 'dot2hsm_ra_certificate_end_seconds{certificate="tls"}' "$(date +%s)"
[ "$(grep -c '^dot2hsm_ra_certificate_end_seconds' "$work/start")" = 2 ] || fail "certificates"

# Nothing else is served there, and nothing is taken.
for path in / /metrics/ /metricsx '/../etc/passwd'; do
    [ "$(curl -s -o /dev/null -w '%{http_code}' --path-as-is "http://127.0.0.1:$metrics$path")" = 404 ] ||
        fail "$path is served"
done
[ "$(curl -s -o /dev/null -w '%{http_code}' -d x "http://127.0.0.1:$metrics/metrics")" != 200 ] ||
    fail "a POST is answered"

# A bit of everything.
header() {
    "$tools/ra_client" header "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" \
        "${2:-$lab/trust/ra.oer}" "$1"
}
app=/download/application-certificate
name=0011223344556677.zip
"$bin/dot2hsm" ra files assign --config "$work/ra.conf" "$name" "$lab/obe/enrollment.oer" >/dev/null
head -c 5000 /dev/urandom >"$lab/ra/download/$name"
for _ in 1 2 3; do
    [ "$(ask "$port" $app -H "Download-Req: $(header $name)")" = 200 ] || fail "not served"
done
[ "$(ask "$port" $app)" = 500 ] || fail "without a header"
"$tools/ra_client" body app "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer" \
    >"$work/body"
post=(-H 'Content-Type: application/octet-stream' --data-binary "@$work/body")
[ "$(ask "$port" /provision-application-certificate "${post[@]}")" = 200 ] || fail "no ack"
[ "$(ask "$port" /provision-application-certificate "${post[@]}")" = 500 ] || fail "a duplicate"
[ "$(ask "$(cat "$work/crl.port")" /download-crl/)" = 200 ] || fail "no CRL"
"$bin/dot2hsm" ra blacklist add --config "$work/ra.conf" "$lab/obe/enrollment.oer" >/dev/null
[ "$(ask "$port" $app -H "Download-Req: $(header $name)")" = 500 ] || fail "blacklisted, and served"
openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null \
    >/dev/null 2>&1 || true

figures used
is used "$(requests application-certificate served)" 3
is used "$(requests application-certificate header_missing)" 1
is used "$(requests application-certificate blacklisted)" 1
is used "$(requests provision-application-certificate served)" 1
is used "$(requests provision-application-certificate duplicate)" 1
is used "$(requests crl served)" 1
is used 'dot2hsm_ra_request_seconds_count{service="application-certificate"}' 5
is used 'dot2hsm_ra_decision_seconds_count{service="provision-application-certificate"}' 2
is used 'dot2hsm_ra_connections_ended_total{reason="tls_handshake"}' 1
is used dot2hsm_ra_handshakes_total 8
is used dot2hsm_ra_connections_total 9
is used dot2hsm_ra_connections 0
is used dot2hsm_ra_store_errors_total 0
is used dot2hsm_ra_accept_queue 0
is used dot2hsm_ra_loops_busy 0
at_least used dot2hsm_ra_sent_octets_total 15000
at_least used dot2hsm_ra_certificate_cache_hits_total 3
at_least used dot2hsm_ra_certificate_cache_misses_total 1
at_least used 'dot2hsm_hsm_call_seconds_count{work="sign"}' 9
is used 'dot2hsm_hsm_call_errors_total{work="sign"}' 0
at_least used 'dot2hsm_hsm_call_seconds_count{work="derive"}' 5

# What peers send makes no new sample, whatever it is.
lines=$(wc -l <"$work/used")
"$bin/dot2hsm" ra blacklist remove --config "$work/ra.conf" "$lab/obe/enrollment.oer" >/dev/null
for i in $(seq 6); do
    ask "$port" "/secret-word-$i" -H "X-$i: secret-word" >/dev/null
    ask "$port" $app -X "METHOD$i" >/dev/null
    ask "$port" $app -H "Download-Req: $(header "secret\"word
$i.zip" -)" >/dev/null
done
figures hostile
grep -q 'secret' "$work/hostile" && fail "a peer's octets are in the figures"
[ "$(wc -l <"$work/hostile")" -le $((lines + 5)) ] || fail "more samples by hostile requests"
is hostile "$(requests none invalid_url)" 6
is hostile "$(requests application-certificate method)" 6
is hostile "$(requests application-certificate filename)" 6
grep 'result="other"\|reason="other"' "$work/hostile" && fail "a result without a name"

# SIGHUP changes no counter, and a scrape in between none either.
kill -HUP "$ra"
for _ in $(seq 100); do
    grep -q '"event":"reloaded"' "$work/events" && break
    sleep 0.05
done
figures reloaded
python3 "$SOURCE_DIR/tests/ra/metrics.py" check "$work/start" "$work/used" "$work/hostile" "$work/reloaded" ||
    fail "a counter went back"

# Every reason that the server logs is in the tables.
for reason in $(cat "$SOURCE_DIR"/protocol/ra/*.c | tr -d '\n' |
    grep -oE '(ra_conn_kill|ra_refuse|log_closed)\(conn, *(LOG_[A-Z]+, *)?"[a-z_]+"' | grep -oE '"[a-z_]+"'); do
    grep -qF "$reason" "$SOURCE_DIR/protocol/ra/metrics.c" "$SOURCE_DIR/protocol/ra/reason.c" ||
        fail "$reason is counted as other"
done

kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
[ ! -e "$work/metrics.port" ] || fail "the port's file is left"

# The log: an object in each line, the same id in all lines of a request, hostile octets inside.
python3 - "$work/events" <<'EOP'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="ascii")]
for line in lines:
    assert line["time"].endswith("Z") and line["level"] and line["event"], line
    assert all(isinstance(value, str) for value in line.values()), line
    assert line["event"] not in ("served", "refused", "closed", "aborted") or line["request"], line
requests = [line["request"] for line in lines if line["event"] in ("served", "refused")]
# The two servers of the program number their own: a crl line has its service.
ra = [line["request"] for line in lines
      if line["event"] in ("served", "refused") and line["service"] != "crl"]
assert len(ra) == len(set(ra)), "a request id twice"
assert len(requests) > 20
assert any(line.get("reason") == "filename" for line in lines), "no hostile name"
EOP

# What is not good is said.
for change in "metrics-port = 70000" "metrics-address = nowhere" "log-format = xml"; do
    { cat "$work/ra.conf"; echo "$change"; } >"$work/other.conf"
    got=0
    "$bin/dot2hsm-ra" "$work/other.conf" >"$work/out" 2>"$work/err" || got=$?
    [ "$got" -ge 2 ] || fail "$change: status $got"
    grep -q "${change%% =*}" "$work/err" || fail "$change: $(cat "$work/err")"
done
sed '/^metrics-port =/d' "$work/ra.conf" >"$work/other.conf"
expect 2 "$bin/dot2hsm-ra" --check "$work/other.conf"
grep -q "need metrics-port" "$work/err" || fail "metrics-port-file alone"
echo "metrics: all as it says"
