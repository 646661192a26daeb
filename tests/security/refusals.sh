#!/usr/bin/env bash
# What a real dot2hsm-ra refuses, over a real TLS connection: each refusal has its own log line, the
# peer learns nothing but the published code (stage QA), and the next good request is served.
. "$SOURCE_DIR/tests/security/lib.sh"

"$bin/dot2hsm" lab init "$work/lab" >/dev/null
{
    sed 's/^port = .*/port = 0/' "$work/lab/ra.conf"
    echo "port-file = $work/ra.port"
} >"$work/ra.conf"
ra_start "$work/ra.conf"

forge=$tools/forge
trust=$work/lab/trust
template=$work/lab/rse/enrollment.oer
good_key=$work/lab/rse/enrollment.key
mine=$(basename "$work"/lab/ra/download/????????????????.zip)
echo other >"$work/lab/ra/download/00000000000000AA.zip"
store=sqlite:$work/lab/ra/store.sqlite

# A certificate of each kind, with its key; the file 00000000000000AA is the device "other"'s.
for kind in good expired future permission application signature unknown; do
    "$forge" issue "$template" "$trust/eca.oer" "$work/lab/ca/eca.key" $kind \
        "$work/$kind.oer" "$work/$kind.key"
done
"$bin/dot2hsm" ra files assign --store "$store" 00000000000000AA.zip "$work/good.oer" >/dev/null

# get PATH [CURL OPTION...]: status in $status, headers in $work/headers, body in $work/body.
get() {
    local path=$1
    shift
    rm -f "$work/headers" "$work/body"
    status=$(curl -s --cacert "$trust/x509-root.pem" --resolve "localhost:$port:127.0.0.1" \
        --path-as-is -D "$work/headers" -o "$work/body" -w '%{http_code}' "$@" \
        "https://localhost:$port$path") || true
}
app=/download/application-certificate

log_lines() {
    grep -c "reason=$1" "$work/ra.log" || true
}

served=0
serve_good() { # the honest request, between the others: the RA is still at work
    get $app -H "Download-Req: $("$forge" request "$template" "$good_key" "$mine")"
    [ "$status" = 200 ] || fail "the good request got $status"
    cmp -s "$work/body" "$work/lab/ra/download/$mine" || fail "the good request got another file"
    served=$((served + 1))
}

# refused TEXT REASON CODE [CURL OPTION...]: 500, closed, empty, the code, one log line more.
refused() {
    local text=$1 reason=$2 code=$3 before
    shift 3
    before=$(log_lines "$reason")
    get "${path:-$app}" "$@"
    [ "$status" = "${want:-500}" ] || fail "$text: status $status"
    [ ! -s "$work/body" ] || fail "$text: a body"
    grep -qi '^connection: *close' "$work/headers" || fail "$text: the connection is not closed"
    grep -qi '^content-length: *0' "$work/headers" || fail "$text: no Content-Length: 0"
    grep -qi "^scms-poc-error: *$code" "$work/headers" || {
        cat "$work/headers" >&2
        fail "$text: not code $code"
    }
    for _ in $(seq 40); do
        [ "$(log_lines "$reason")" -gt "$before" ] && break
        sleep 0.05
    done
    [ "$(log_lines "$reason")" -gt "$before" ] || {
        tail -n 3 "$work/ra.log" >&2
        fail "$text: no log line with reason=$reason"
    }
    echo "refused: $text ($(grep "reason=$reason" "$work/ra.log" | tail -n 1 | grep -o 'detail=.*'))"
}
# request ARGUMENT...: the options of curl for a forged request.
request() {
    printf 'Download-Req: %s' "$("$forge" request "$@")"
}

serve_good

echo "-- blacklist"
"$bin/dot2hsm" ra blacklist add --store "$store" "$work/good.oer" >/dev/null
refused "blacklisted" blacklisted 5055 -H "$(request "$work/good.oer" "$work/good.key" 00000000000000AA.zip)"
"$forge" mirror "$work/good.oer" "$work/mirror.oer"
cmp -s "$work/good.oer" "$work/mirror.oer" && fail "the mirrored certificate is the same"
refused "blacklisted, with s replaced by n - s" blacklisted 5055 \
    -H "$(request "$work/mirror.oer" "$work/good.key" 00000000000000AA.zip)"
"$bin/dot2hsm" ra blacklist remove --store "$store" "$work/good.oer" >/dev/null
get $app -H "$(request "$work/good.oer" "$work/good.key" 00000000000000AA.zip)"
[ "$status" = 200 ] || fail "removed from the blacklist, but status $status"
serve_good

echo "-- enrollment certificate"
for kind in unknown signature permission application expired future; do
    refused "certificate: $kind" certificate 5067 \
        -H "$(request "$work/$kind.oer" "$work/$kind.key" "$mine")"
done
for word in EXPIRED NOT_YET_VALID PERMISSION ISSUER_UNKNOWN ISSUER_SIGNATURE; do
    grep 'reason=certificate' "$work/ra.log" | grep -qi "$word" || fail "no log line says $word"
done
serve_good

echo "-- time"
for shift in 6 -6 3600 -3600; do
    # 7 for the one that ages: a second may pass between the signature and its check.
    refused "time stamp $shift s off" time 5070 \
        -H "$(request "$template" "$good_key" "$mine" time=$((shift > 0 ? shift + 1 : shift)))"
done
get $app -H "$(request "$template" "$good_key" "$mine" time=-3)"
[ "$status" = 200 ] || fail "three seconds late: status $status"
get $app -H "$(request "$template" "$good_key" "$mine" time=4)"
[ "$status" = 200 ] || fail "four seconds early: status $status"

echo "-- signature and signer"
refused "a bit of s flipped" signature 5058 -H "$(request "$template" "$good_key" "$mine" flip=s)"
refused "a bit of the request flipped" signature 5058 -H "$(request "$template" "$good_key" "$mine" flip=tbs)"
refused "signed with another key" signature 5058 -H "$(request "$template" "$work/good.key" "$mine")"
refused "a bit of the certificate flipped" certificate 5067 \
    -H "$(request "$template" "$good_key" "$mine" flip=cert)"
for signer in self digest two; do
    refused "signer: $signer" signer 5067 -H "$(request "$template" "$good_key" "$mine" signer=$signer)"
done
serve_good

echo "-- file names"
# Stage QA says 404 to both; nothing tells the device which of the two it was.
want=404 refused "another device's file" file_of_another 5065 \
    -H "$(request "$template" "$good_key" 00000000000000AA.zip)"
want=404 refused "a file that is not there" file_unknown 5065 \
    -H "$(request "$template" "$good_key" 00000000000000BB.zip)"
echo secret >"$work/lab/ra/secret"
hex() { printf '%s' "$1" | od -An -tx1 | tr -d ' \n'; }
for name in "../secret" "../../etc/passwd" "/etc/passwd" "%2e%2e%2fsecret" "..%2fsecret" "" \
    "./$mine" "${mine%.zip}.zip/" "${mine%.zip}.info" "$mine " "${mine%.zip}.ZIP.zip"; do
    refused "the name \"$name\"" filename 5070 -H "$(request "$template" "$good_key" "x" "name=$(hex "$name")")"
done
refused "a name with NUL" filename 5070 \
    -H "$(request "$template" "$good_key" x "name=$(hex "$mine")00$(hex .zip)")"
ln -s ../secret "$work/lab/ra/download/00000000000000CC.zip"
"$bin/dot2hsm" ra files assign --store "$store" 00000000000000CC.zip "$template" >/dev/null
before=$(wc -l <"$work/ra.log")
get $app -H "$(request "$template" "$good_key" 00000000000000CC.zip)"
[ "$status" = 404 ] || fail "a symbolic link: status $status"
[ "$(wc -l <"$work/ra.log")" -gt "$before" ] || fail "a symbolic link: no log line"
echo "refused: a symbolic link ($(tail -n 1 "$work/ra.log" | grep -o 'reason=.*'))"
# Names are compared without case (both halves of the name, .ZIP too).
get $app -H "$(request "$template" "$good_key" "$(echo "$mine" | tr '[:upper:]' '[:lower:]')")"
[ "$status" = 200 ] || fail "lower case: status $status"
get $app -H "$(request "$template" "$good_key" "$(echo "$mine" | tr '[:lower:]' '[:upper:]')")"
[ "$status" = 200 ] || fail "upper case: status $status"

echo "-- header"
refused "no Download-Req" header_missing 5058
refused "not Base64" header_base64 5070 -H "Download-Req: !!!not*base64"
refused "Base64 of garbage" request_malformed 5070 -H "Download-Req: $(head -c 200 /dev/zero | base64 -w0)"
refused "an encrypted form that is cut off" request_malformed 5070 -H "Download-Req: $(printf '\003\202\001\001' | base64 -w0)"
refused "over 8,192 octets" header_too_long 5070 \
    -H "Download-Req: $(head -c 6200 /dev/urandom | base64 -w0)"
serve_good

echo "-- paths"
for bad in "/download/../ra.conf" "/download/application-certificate/../../ra.conf" "/etc/passwd" \
    "//etc/passwd" "/download/application-certificate%00" "/download/%2e%2e/secret" "/"; do
    get "$bad"
    case $status in
    404 | 500 | 000) ;;
    *) fail "path $bad: status $status" ;;
    esac
    [ ! -s "$work/body" ] || fail "path $bad: a body"
done
serve_good

echo "-- not HTTPS at all"
got=$(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port$app") || true
[ "$got" = 000 ] || fail "plain HTTP on the TLS port: status $got"
serve_good

kill -TERM "$ra"
wait "$ra" || fail "the RA ended with $?"
grep -qi secret "$work/ra.log" && grep -v 'name\|filename' "$work/ra.log" | grep -qi 'PRIVATE KEY' && fail "a key in the log"
[ "$served" -ge 6 ] || fail "only $served good requests"
echo "all refused as they should be; $served good requests between them served"
