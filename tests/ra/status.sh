#!/usr/bin/env bash
# dot2hsm ra status: what it tells of an RA that is well, and of each thing that is not.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab
config=$work/ra.conf
dot2hsm=$bin/dot2hsm
tokens ra
"$dot2hsm" lab init "$lab" --module "$softhsm" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra >/dev/null
{
    sed 's/^port = .*/port = 0/' "$lab/ra.conf"
    printf '[ra]\nport-file = %s\nmetrics-port = 0\nmetrics-port-file = %s\n' \
        "$work/ra.port" "$work/metrics.port"
} >"$config"
ra_start "$config"

# status EXIT-STATUS [OPTION...]: JSON in $work/out.
status() {
    local want=$1
    shift
    expect "$want" "$dot2hsm" ra status --config "$config" --json "$@"
}
# holds EXPRESSION: is true, s being the JSON.
holds() {
    python3 -c "
import json, sys
s = json.load(open(sys.argv[1]))
certs = {c['role']: c for c in s['certificates']}
assert $1, s" "$work/out" || fail "not so: $1"
}

echo "- all is well"
status 0
holds "s['store']['reachable'] and s['store']['schema'] >= 2 and s['store']['blacklist'] == 0"
holds "s['store']['requests'] == {'pending': 0, 'ready': 0, 'failed': 0, 'oldestPending': None}"
holds "[c['role'] for c in s['certificates']][:3] == ['tls', 'ra-key lab', 'anchor']"
holds "all(c['state'] == 'valid' and c['daysLeft'] > 0 for c in s['certificates'])"
holds "certs['anchor']['end'].endswith('Z') and len(certs['anchor']['hashedId8']) == 16"
holds "len(s['keys']) == 3 and all(k['present'] for k in s['keys'])"
holds "s['server']['answers'] and s['server']['served'] == 0 and s['server']['hsmSessions'] >= 1"
holds "0 <= s['server']['upSeconds'] < 300"
expect 0 "$dot2hsm" ra status --config "$config"
for text in "schema" "pending" "valid" "present" "connections" "descriptors"; do
    grep -q "$text" "$work/out" || fail "no $text in the table"
done

echo "- what changes is seen"
"$tools/ra_client" body app "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer" \
    >"$work/body"
for want in 200 500; do
    got=$(curl -s -o /dev/null -w '%{http_code}' --cacert "$lab/trust/x509-root.pem" \
        --resolve "localhost:$port:127.0.0.1" -H 'Content-Type: application/octet-stream' \
        --data-binary "@$work/body" "https://localhost:$port/provision-application-certificate")
    [ "$got" = "$want" ] || fail "$got instead of $want"
done
"$dot2hsm" ra blacklist add --config "$config" 0011223344556677 >/dev/null
"$dot2hsm" ra files assign --config "$config" 0000000000000001.zip "$lab/obe/enrollment.oer" >/dev/null
files=$("$dot2hsm" ra files list --config "$config" | wc -l)
status 0 --no-keys
holds "'keys' not in s"
holds "s['store']['blacklist'] == 1 and s['store']['files'] == $files"
holds "s['store']['requests']['pending'] == 1 and s['store']['requests']['oldestPending']"
holds "s['server']['served'] == 1 and s['server']['notServed'] == 1"

echo "- a certificate that has ended, one that is none"
"$tools/forge" issue "$lab/obe/enrollment.oer" "$lab/trust/eca.oer" "$lab/ca/eca.key" expired \
    "$work/expired.oer" "$work/expired.key"
cp "$work/expired.oer" "$lab/trust/zz.oer"
status 1
holds "any(c['state'] == 'expired' and c['daysLeft'] < 0 for c in s['certificates'])"
echo nothing >"$lab/trust/zz.oer"
status 1
holds "any(c['state'] == 'unreadable' and 'end' not in c for c in s['certificates'])"
rm "$lab/trust/zz.oer"

echo "- a key that is not there, and no PIN in what is said"
cp "$config" "$work/good.conf"
sed -i 's/^tls-key = .*/tls-key = "pkcs11:token=ra;object=other;type=private?pin-value=secret-word"/' \
    "$config"
status 2
holds "[k['present'] for k in s['keys']] == [False, True, True]"
grep -q secret "$work/out" "$work/err" && fail "a PIN is shown"
sed -i 's/?pin-value=secret-word//' "$config"
status 1
holds "[k['present'] for k in s['keys']] == [False, True, True] and 'other' in s['keys'][0]['why']"
status 0 --no-keys
table() { "$dot2hsm" ra status --config "$config"; }
expect 1 table
grep -q '^  ra  *tls-key  *missing ' "$work/out" || fail "a key that is not there"
sed -i 's|^pin-source = .*|pin-source = file:/nonexistent|' "$config"
expect 2 table
[ "$(grep -c 'key  *unknown ' "$work/out")" = 3 ] || fail "without a PIN nobody knows of a key"
cp "$work/good.conf" "$config"

echo "- the store away, the server away"
sed -i "s|^store = .*|store = sqlite:$work/nothing.sqlite|" "$config"
status 3
holds "not s['store']['reachable'] and 'nothing.sqlite' in s['store']['why']"
holds "s['server']['answers']"
sed -i 's|^store = .*|store = "postgresql:host=/nowhere user=x password=secret-word"|' "$config"
status 3
grep -q secret-word "$work/out" "$work/err" && fail "a password is shown"
cp "$work/good.conf" "$config"
cp "$work/metrics.port" "$work/port-it-had"
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
status 3
holds "s['server']['asked'] and not s['server']['answers'] and s['server']['why']"
cp "$work/port-it-had" "$work/metrics.port"
status 3
holds "not s['server']['answers']"
sed -i '/^metrics/d' "$config"
status 0
holds "s['server'] == {'asked': False}"

echo "- usage"
expect 2 "$dot2hsm" ra status
expect 2 "$dot2hsm" ra status --config "$config" operand
expect 2 "$dot2hsm" ra status --config "$work/nothing.conf"
expect 0 "$dot2hsm" ra status --help
echo "status: all as it says"
