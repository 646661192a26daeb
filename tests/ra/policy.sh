#!/usr/bin/env bash
# policy-limits = yes: what the policy file says of a request's age and of how far ahead it may want
# to start, over the wire, with a file that is replaced, spoiled and taken away meanwhile.
. "$SOURCE_DIR/tests/security/lib.sh"

client=$tools/ra_client
lab=$work/lab
"$bin/dot2hsm" lab init "$lab" >/dev/null
config=$lab/ra.conf
policy=$lab/ra/limits.oer
sed -i "/^url-base/d; s/^port *=.*/port = 0/; /^max-requests/d; s#^policy-file.*#policy-file = $policy#; \
    /^tolerance/d; s/^\[ra\]/[ra]\ntolerance = 20000\npolicy-limits = yes\nport-file = \/work-port\nmax-requests = 0\none-application-request = no/" \
    "$config"
sed -i "s#/work-port#$work/ra.port#" "$config"
# serve OPTION...: another policy file under the name, as a whole.
serve() {
    "$bin/dot2hsm" lab policy "$@" --out "$work/new.oer" "$lab" && mv "$work/new.oer" "$policy"
}
logged() { # N TEXT: at least N times, in ten seconds at most
    for _ in $(seq 200); do
        [ "$(grep -cF -- "$2" "$work/ra.log" || true)" -lt "$1" ] || return 0
        sleep 0.05
    done
    fail "no \"$2\" in the RA's log"
}
# ask KIND MADE START: the status of a request that was made MADE seconds from now.
ask() {
    local path
    case $1 in
    app) path=/provision-application-certificate ;;
    id) path=/provision-identity-certificate ;;
    pseudonym) path=/provision-pseudonym-certificate-batch ;;
    esac
    "$client" body "$1" "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer" \
        "$2" "$3" >"$work/body"
    status=$(curl -s -o "$work/answer" -D "$work/headers" -w '%{http_code}' \
        --cacert "$lab/trust/x509-root.pem" --resolve "localhost:$port:127.0.0.1" \
        -H 'Content-Type: application/octet-stream' --data-binary "@$work/body" \
        "https://localhost:$port$path" || true)
}
accepted() {
    ask "$@"
    [ "$status" = 200 ] || fail "$*: $status"
}
# refused REASON DETAIL KIND MADE START
refused() {
    local lines
    lines=$(wc -l <"$work/ra.log")
    ask "${@:3}"
    [ "$status" = 500 ] || fail "${*:3}: $status"
    grep -q "SCMS-POC-Error: 5070" "$work/headers" || fail "${*:3}: $(cat "$work/headers")"
    tail -n +$((lines + 1)) "$work/ra.log" | grep "event=refused reason=$1 " | grep -qF "$2" ||
        fail "${*:3}: the log says something else"
}
kinds="app id pseudonym"

echo "- a request of half an hour is taken, one of more than an hour is not; a start likewise"
serve --max-request-age 1 --max-supply 2
ra_start "$config"
logged 1 "event=policy max_request_age=3600 max_supply=7200"
for kind in $kinds; do
    accepted $kind -1800 0
    refused time "MaxCertRequestAge of the policy is 3600 s" $kind -3700 0
    accepted $kind 0 7100
    refused start_time "MaxAvailableCertSupply of the policy is 7200 s" $kind 0 7300
done
# The configured limits hold besides.
refused start_time "allowed are -86400 to 2592000" app 0 -90000
refused time "tolerance 20000" app -30000 0

echo "- another file under the same name holds within two seconds, without a signal"
serve --max-request-age 2
logged 1 "event=policy max_request_age=7200 max_supply=0"
for kind in $kinds; do
    accepted $kind -3700 0
    refused time "MaxCertRequestAge of the policy is 7200 s" $kind -7300 0
    accepted $kind 0 7300
done

echo "- one that is none, and none at all, change nothing; the log says so once"
cp "$lab/trust/ra.oer" "$policy"
logged 1 "event=policy_not_used"
sleep 1.5
[ "$(grep -c event=policy_not_used "$work/ra.log")" = 1 ] || fail "said more than once"
refused time "MaxCertRequestAge" app -7300 0
before=$(grep -c event=not_reloaded "$work/ra.log" || true)
kill -HUP "$ra"
logged $((before + 1)) "event=not_reloaded"
rm "$policy"
sleep 1.5
refused time "MaxCertRequestAge" app -7300 0

echo "- SIGHUP takes another file, and the setting"
serve --max-request-age 3
logged 1 "event=policy max_request_age=10800 max_supply=0"
kill -HUP "$ra"
logged 1 "event=reloaded"
accepted app -10000 0
refused time "MaxCertRequestAge of the policy is 10800 s" app -11000 0
sed -i 's/^policy-limits.*/policy-limits = no/' "$config"
kill -HUP "$ra"
logged 2 "event=reloaded"
accepted app -11000 0
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"

echo "- it does not start without a policy that it can read"
sed -i 's/^policy-limits.*/policy-limits = yes/' "$config"
expect 0 "$bin/dot2hsm-ra" --check "$config"
cp "$lab/trust/ra.oer" "$policy"
expect 2 "$bin/dot2hsm-ra" --check "$config"
grep -q "policy-file: .*limits.oer: DOT2_E" "$work/err" || fail "$(cat "$work/err")"
rm "$policy"
expect 2 "$bin/dot2hsm-ra" --check "$config"
sed -i '/^policy-file/d' "$config"
expect 2 "$bin/dot2hsm-ra" --check "$config"
grep -q "policy-limits needs policy-file" "$work/err" || fail "$(cat "$work/err")"
sed -i 's/^policy-limits.*/policy-limits = perhaps/' "$config"
expect 2 "$bin/dot2hsm-ra" --check "$config"
echo "ok"
