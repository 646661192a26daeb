#!/usr/bin/env bash
# The local policy file in a device: whose it is, how old it is, what holds now, and that a request
# is made anew when its parameters have changed before the download.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
"$BUILD_DIR/bin/dot2hsm" lab init "$work/other" >/dev/null
sync_lab
conf=$work/device.conf
state=$lab/rse/state
cp "$lab/rse.conf" "$conf"
echo "policy-signer = $lab/trust/pg.oer" >>"$conf"
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
json() { python3 -c "import json; o=json.load(open('$work/out')); print($1)"; }
number=1
# serve LAB OPTION...: the RA has another policy file from now on.
serve() {
    number=$((number + 1))
    "$dot2hsm" lab policy "${@:2}" --out "$work/policy_$number.oer" "$1"
    put "$work/policy_$number.oer"
}
put() {
    local before
    sed -i "s#^policy-file.*#policy-file = $1#" "$lab/ra.conf"
    before=$(grep -c event=reloaded "$work/ra.log" || true)
    kill -HUP "$ra"
    for _ in $(seq 200); do
        [ "$(grep -c event=reloaded "$work/ra.log" || true)" = "$before" ] || return 0
        sleep 0.05
    done
    fail "not reloaded"
}
at() { date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ; }
# refused TEXT: the sync fails, says so, and what is installed stays.
refused() {
    cp "$state/policy.oer" "$work/before.oer"
    expect 1 ee sync
    says "$1"
    cmp "$state/policy.oer" "$work/before.oer" || fail "the policy was replaced"
    sed -i '/^failure/d' "$state/state"
}

echo "- use case 13, step 13.3: another policy before the download, and the request is made anew"
expect 0 ee sync
[ "$(requests)" = 1 ] || fail "$(requests) requests"
first=$(sed -n 's/^request //p' "$state/state")
# The same values under a newer time: the request stays.
serve "$lab" --generated "$(at -600)"
sed -i 's/^download-time .*/download-time 4000000000/' "$state/state"
expect 0 ee sync
[ "$(sed -n 's/^request //p' "$state/state")" = "$first" ] || fail "another request for the same policy"
cas_start
for _ in $(seq 100); do
    [ "$(ls "$lab/ra/download" | wc -l)" -lt 3 ] || break
    sleep 0.05
done
serve "$lab" --validity 100 --overlap 2 --interval 24 --generated "$(at -500)"
expect 0 ee sync --wait
says "the policy has changed since the request was made"
[ "$(requests)" = 2 ] || fail "$(requests) requests"
[ -e "$state"/application-*.oer ] || fail "no certificate"

echo "- status shows the values that are used"
expect 0 ee status
says "validity 100 h, overlap 2 h; renewed 2 h before the end"
says "signature verified"
says "fetched every 24 h at least"
expect 0 ee status --json
[ "$(json 'o["policy"]["renewBefore"]')" = 7200 ] || fail "$(cat "$work/out")"
[ "$(json 'o["policy"]["filesOverdue"]')" = False ] || fail "$(cat "$work/out")"
sed "s/^\[ee\]/[ee]\nrenew-before = 3/" "$conf" >"$work/configured.conf"
expect 0 "$dot2hsm" ee status --config "$work/configured.conf" --json
[ "$(json 'o["policy"]["renewBefore"]')" = 10800 ] || fail "$(cat "$work/out")"
sed -i 's/^last-sync .*/last-sync 1700000000/' "$state/state"
expect 0 ee status
says "OVERDUE"

echo "- the overlap decides when a certificate is renewed"
serve "$lab" --validity 100 --overlap 300 --generated "$(at -400)"
expect 0 ee sync
expect 0 ee status --json
[ "$(json '"download" in o["nextStep"] or "ask" in o["nextStep"]')" = True ] || fail "$(cat "$work/out")"

echo "- a temporal series: the value that holds now, not one of the future"
serve "$lab" --validity 50 --overlap 1 --next-validity 70 --next-start "$(at 3600)" --generated "$(at -300)"
expect 0 ee sync --wait
expect 0 ee status --json
[ "$(json 'o["policy"]["rseApplicationCertValidity"]')" = 180000 ] || fail "$(cat "$work/out")"
serve "$lab" --validity 50 --overlap 1 --next-validity 70 --next-start "$(at -3600)" --generated "$(at -200)"
expect 0 ee sync --wait
expect 0 ee status --json
[ "$(json 'o["policy"]["rseApplicationCertValidity"]')" = 252000 ] || fail "$(cat "$work/out")"

echo "- refused: an older one, another RA's, another generator's, an altered one, none at all"
serve "$lab" --generated "$(at -1000)"
refused "older than the one installed"
serve "$lab" --host ra.example.com
refused "is for another RA"
serve "$work/other"
refused "the policy file"
serve "$lab" --validity 50
python3 - "$work/policy_$number.oer" "$work/altered.oer" <<'END'
import sys
data = open(sys.argv[1], 'rb').read()
at = data.index(b'\x84\x00\x32')                # 50 hours
open(sys.argv[2], 'wb').write(data[:at] + b'\x84\x00\x33' + data[at + 3:])
END
put "$work/altered.oer"
refused "is not that of the policy"
cp "$lab/trust/pg.oer" "$work/false.oer"
put "$work/false.oer"
refused "the policy file"
cp "$lab/ra/local_certificate_chains_01_01.oer" "$work/chain_as_policy.oer"
put "$work/chain_as_policy.oer"
refused "is not a local policy file"

echo "- without policy-signer the RA's TLS vouches, and status says so"
sed -i '/^policy-signer/d' "$conf"
put "$work/altered.oer"
expect 0 ee sync --wait
expect 0 ee status
says "by the RA's TLS alone"
echo "policy-signer = $lab/trust/ma.oer" >>"$conf"
serve "$lab"
refused "is not the policy's signer"
sed -i '/^policy-signer/d' "$conf"

echo "- another version of the SCMS: nothing is asked for"
before=$(requests)
serve "$lab" --scms-version 2
rm "$state"/application-*.oer
expect 1 ee sync
says "version 2 of the SCMS"
[ "$(requests)" = "$before" ] || fail "a request was made"

echo "- a chain file of a lower version is refused, one of a higher is installed"
serve "$lab" --generated "$(at 1)"
serve_chain() { # GCCF LCCF
    sed -i "s#^chain-file.*#chain-file = $work/chain_$1_$2.oer#" "$lab/ra.conf"
    put "$work/policy_$number.oer"
}
# chain GCCF LCCF: the lab's chain file under these versions, and a name of its own.
chain() {
    python3 - "$lab/ra/local_certificate_chains_01_01.oer" "$work/chain_$1_$2.oer" "$1" "$2" <<'END'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
assert data[1:3] == b'\x80\x81', data[:12].hex()
assert data[4:8] == b'\0\1\0\1', data[:12].hex()
data[4:8] = bytes([0, int(sys.argv[3]), 0, int(sys.argv[4])])
open(sys.argv[2], 'wb').write(data)
END
    serve_chain "$1" "$2"
}
chain 2 3
expect 0 ee sync --wait
cmp "$state/chain.oer" "$work/chain_2_3.oer" || fail "the chain file was not installed"
for version in "2 2" "1 3"; do
    chain $version
    expect 1 ee sync
    says "is older than the one installed, 2.3"
    cmp "$state/chain.oer" "$work/chain_2_3.oer" || fail "the chain file was replaced"
    sed -i '/^failure/d' "$state/state"
done
# A local version may begin anew with a global one.
chain 2 4
expect 0 ee sync
cmp "$state/chain.oer" "$work/chain_2_4.oer" || fail "the chain file was not installed"
chain 3 1
expect 0 ee sync
cmp "$state/chain.oer" "$work/chain_3_1.oer" || fail "the chain file was not installed"
cp "$work/chain_2_4.oer" "$state/chain.oer"
serve_chain 2 4

echo "- what is installed of another RA is used, and replaced by this one's, whatever its age and name"
expect 0 ee sync --wait
"$dot2hsm" lab policy --host old.example --generated "$(at 9)" --out "$work/old_policy.oer" "$lab"
cp "$work/old_policy.oer" "$state/policy.oer"
python3 - "$state/chain.oer" <<'END'
import sys
data = bytearray(open(sys.argv[1], 'rb').read())
data[5], data[9:10] = 9, b'x'                   # a higher version, another host
open(sys.argv[1], 'wb').write(data)
END
echo "icy road" >"$work/message"
expect 0 ee sign --psid 0x82 -o "$work/signed.oer" "$work/message"
expect 0 ee sync
cmp "$state/chain.oer" "$work/chain_2_4.oer" || fail "the chain file was not installed"
cmp "$state/policy.oer" "$work/policy_$number.oer" || fail "the policy file was not installed"
expect 0 ee sync
grep 'service=local-\(policy\|certificate-chain\)' "$work/ra.log" | tail -n 2 |
    grep -c status=304 >"$work/count" || true
[ "$(cat "$work/count")" = 2 ] || fail "fetched again"

echo "- a chain file that cannot be read any more is fetched anew"
echo spoiled >"$state/chain.oer"
expect 0 ee sync
says "it is fetched anew"
cmp "$state/chain.oer" "$work/chain_2_4.oer" || fail "the chain file was not installed"

echo "- a chain file with ballots of 1.2.2, and of the form before where that is configured"
python3 - "$work/chain_2_4.oer" "$lab/trust/root.oer" "$work" <<'END'
import sys
data, root = open(sys.argv[1], 'rb').read(), open(sys.argv[2], 'rb').read()
at = 8 + 1 + data[8] + 1                        # after the host's name and the store's preamble
assert data[at:at + 4] == b'\1\0\1\0', data[:at + 4].hex()
endorsements = b'\1\1' + b'\3\x80\x08endorsed'
for lccf, ballot in (5, b'\0' + root + endorsements), (6, b'\0' + endorsements):
    open(f'{sys.argv[3]}/chain_2_{lccf}.oer', 'wb').write(
        data[:7] + bytes([lccf]) + data[8:at] + b'\1\2' + 2 * ballot + b'\1\1' + ballot + data[at + 4:])
END
serve_chain 2 5
expect 0 ee sync
cmp "$state/chain.oer" "$work/chain_2_5.oer" || fail "the chain file was not installed"
serve_chain 2 6
expect 1 ee sync
says "requiredCertStore.rootCAEndorsements"
cmp "$state/chain.oer" "$work/chain_2_5.oer" || fail "the chain file was replaced"
sed -i '/^failure/d' "$state/state"
echo "elector-ballot = 1.2.1" >>"$conf"
expect 0 ee sync
cmp "$state/chain.oer" "$work/chain_2_6.oer" || fail "the chain file was not installed"
serve_chain 2 5
expect 1 ee sync
says "2.5 is older than the one installed, 2.6"
sed -i '/^failure/d' "$state/state"

echo "- the release of the SCMS software is a setting, and there is one"
sed '/^profile/d; s/^\[ee\]/[ee]\nprofile = 1.2.2/' "$conf" >"$work/profile.conf"
expect 0 "$dot2hsm" ee status --config "$work/profile.conf"
sed 's/^profile.*/profile = 1.2.4/' "$work/profile.conf" >"$work/other_profile.conf"
for command in "ee status" "ee sync" "ee download application-certificate" doctor "keys list"; do
    expect 2 "$dot2hsm" $command --config "$work/other_profile.conf"
    says 'profile is "1.2.4"; this version knows 1.2.2 alone'
done

expect 2 "$dot2hsm" lab policy "$lab"
expect 2 "$dot2hsm" lab policy --out "$work/x" --validity x "$lab"
expect 2 "$dot2hsm" lab policy --out "$work/x"
echo "ok"
