#!/usr/bin/env bash
# CRLs at both ends: a device's own chain under them, and devices that the RA refuses because of
# them. The lab's CRL is made, replaced, rolled back and spoiled.
set -euo pipefail
. "$SOURCE_DIR/tests/ee/sync_lib.sh"
"$BUILD_DIR/bin/dot2hsm" lab init "$work/other" >/dev/null
"$BUILD_DIR/bin/dot2hsm" lab init --crl-port 8894 "$work/lab" >/dev/null
lab=$work/lab
now=$(date -u +%s)
at() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }
# crl OPTION...: each list is ten seconds younger than the one before, so that nobody has to wait.
issued=$((now - 3000))
crl() {
    issued=$((issued + 10))
    expect 0 "$dot2hsm" lab crl --issued "$(at "$issued")" --next "$(at $((now + 86400)))" "$@"
}
crl "$lab"
sed -i "s/^port *=.*/port = 0/; s/^crl-port *=.*/crl-port = 0/; /^url-base/d; /^certificate-delay/d" \
    "$lab/ra.conf"
cat >>"$lab/ra.conf" <<END
port-file = $work/ra.port
crl-port-file = $work/crl.port
certificate-delay = 2
max-requests = 0
END
ra_start
sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/; s/^\(crl-url = .*\):[0-9]*\$/\1:$(cat "$work/crl.port")/" \
    "$lab"/*.conf
cas_start
conf=$lab/rse.conf
state=$lab/rse/state
ee() { "$dot2hsm" ee "$1" --config "$conf" "${@:2}"; }
json() { python3 -c "import json; o=json.load(open('$work/out')); print($1)"; }
# The device's pause after a failure is not what is tested here.
forgive() { sed -i '/^failure/d' "$state/state"; }
# logged N TEXT: the RA's log has TEXT at least N times, in ten seconds at most.
logged() {
    for _ in $(seq 200); do
        [ "$(grep -cF -- "$2" "$work/ra.log" || true)" -lt "$1" ] || return 0
        sleep 0.05
    done
    fail "no \"$2\" in the RA's log"
}

echo "- an empty CRL: all goes well, and status names the lists"
expect 0 ee sync --wait
expect 0 ee status
[ "$(grep -c '  CRL  series .* full, .* 0 revoked' "$work/out")" = 4 ] || fail "$(cat "$work/out")"
app=$(ls "$state"/application-*.oer)
echo hello >"$work/message"
expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"

echo "- the application certificate is revoked: no signature, and another is asked for"
crl "$lab" "$app"
expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"
sed 's/^crl-url.*/crl-url = https:\/\/localhost:1/' "$conf" >"$work/away.conf"
expect 3 "$dot2hsm" ee sync --config "$work/away.conf"
says "the CRL"
forgive
expect 0 ee sync --wait
[ ! -e "$app" ] || fail "the revoked certificate is still installed"
expect 0 ee sign --psid 0x82 -o "$work/signed" "$work/message"
app=$(ls "$state"/application-*.oer)
cp -r "$state" "$work/state.good"
crl -o "$work/revokes.oer" "$lab" "$app"
cp "$work/revokes.oer" "$lab/ra/crl.oer"
# The CRL is taken; then the sync is stopped where it would ask for a new one.
kill "$cas" && wait "$cas" || true
expect 0 ee sync
expect 1 ee sign --psid 0x82 -o "$work/x" "$work/message"
says "is revoked"
expect 1 ee status
says "revoked"
expect 1 ee status --json
[ "$(json '[c["state"] for c in o["certificates"]]')" = "['valid', 'valid', 'revoked']" ] ||
    fail "$(cat "$work/out")"
cas_start

echo "- an older CRL, one without the list, one of another lab, and altered octets change nothing"
unchanged() { # STATUS FILE TEXT
    cp "$2" "$lab/ra/crl.oer"
    ls -l "$state"/crl-* >"$work/lists.before"
    expect "$1" ee sync
    [ -z "$3" ] || says "$3"
    ls -l "$state"/crl-* | cmp - "$work/lists.before" || fail "a list was replaced"
    forgive
}
crl --issued "$(at $((now - 3600)))" -o "$work/old.oer" "$lab"
unchanged 0 "$work/old.oer" "older than the one installed"
printf '\000\001\000\001\000\001\000' >"$work/none.oer"
unchanged 0 "$work/none.oer" ""
crl -o "$work/other.oer" "$work/other"
unchanged 1 "$work/other.oer" "none of its lists can be used"
says "is not used"
crl --series 9 -o "$work/series.oer" "$lab"
unchanged 1 "$work/series.oer" "DOT2_E_PERMISSION"
python3 - "$work" <<'END'
import sys
data = bytearray(open(sys.argv[1] + '/revokes.oer', 'rb').read())
data[-6] ^= 1                                   # the last list's signature
open(sys.argv[1] + '/altered.oer', 'wb').write(data)
open(sys.argv[1] + '/cut.oer', 'wb').write(data[:-1])
END
unchanged 0 "$work/altered.oer" "DOT2_E_SIGNATURE"
unchanged 1 "$work/cut.oer" "the CRL"
forgive

echo "- ballots on root CAs and electors: the form of 1.2.2, and the one before where it is configured"
crl -o "$work/plain.oer" "$lab"
python3 - "$work" "$lab/trust/root.oer" <<'END'
import sys
work, root = sys.argv[1], open(sys.argv[2], 'rb').read()
data = open(work + '/plain.oer', 'rb').read()
assert data[-4:] == b'\1\0\1\0', data[-4:]
endorsements = b'\1\1' + b'\3\x80\x08endorsed'
for name, ballot in ('new', b'\0' + root + endorsements), ('older', b'\0' + endorsements):
    open(f'{work}/{name}.oer', 'wb').write(data[:-4] + b'\1\1' + ballot + b'\1\2' + 2 * ballot)
END
unchanged 1 "$work/older.oer" "CompositeCrl.revokedRootCAs"
cp "$work/new.oer" "$lab/ra/crl.oer"
expect 0 ee sync
says "1 ballots on root CAs and 2 on electors are not evaluated"
sed 's/^\[ee\]/[ee]\nelector-ballot = 1.2.1/' "$conf" >"$work/older.conf"
for file in older new; do
    cp "$work/$file.oer" "$lab/ra/crl.oer"
    expect 0 "$dot2hsm" ee sync --config "$work/older.conf"
    says "1 ballots on root CAs and 2 on electors are not evaluated"
    "$dot2hsm" ee status --config "$work/older.conf" >"$work/out" 2>"$work/err" || true
    says "3 ballots on root CAs and electors: not evaluated"
done
sed 's/^\[ee\]/[ee]\nelector-ballot = 1.2.3/' "$conf" >"$work/false.conf"
expect 2 "$dot2hsm" ee sync --config "$work/false.conf"
says "elector-ballot is 1.2.2 or 1.2.1"
for file in older new; do
    expect 0 "$dot2hsm" verify --root "$lab/trust/root.oer" --cert "$lab/trust" \
        --crl "$work/$file.oer" "$lab/trust/ica.oer"
    says "3 ballots on root CAs and electors are not evaluated"
done

echo "- linkage-based lists are kept, and named as not evaluated"
crl --linkage --next "$(at $((now - 1)))" "$lab"
expect 0 ee sync
says "a newer one was due"
says "linkage based, kept and not evaluated"
"$dot2hsm" ee status --config "$conf" >"$work/out" 2>"$work/err" || true
says "linkage based: not evaluated"

echo "- the PCA and the RA are revoked"
# What was asked for before is done with: its answer would be the revoked PCA's.
crl "$lab"
expect 0 ee sync --wait
crl "$lab" "$lab/trust/pca.oer"
expect 0 ee sync
expect 1 ee sign --psid 0x82 -o "$work/x" "$work/message"
says "is revoked"
forgive
crl "$lab" "$lab/trust/ra.oer"
expect 1 ee sync
says "the RA's certificate"
says "is on the CRL of series 2"
forgive

echo "- the RA refuses what a CRL revokes within two seconds, and takes it back by a newer one"
crl "$lab"
logged 1 "event=crl "
kill "$ra" && wait "$ra" || true
: >"$work/ra.log"
ra_start
sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/; s/^\(crl-url = .*\):[0-9]*\$/\1:$(cat "$work/crl.port")/" \
    "$lab"/*.conf
get() { rm -f "$work/got"*; "$dot2hsm" ee download --config "$conf" --out "$work/got" "$file"; }
for file in "$lab"/ra/download/*.zip; do
    file=$(basename "$file")
    get >/dev/null 2>&1 && break
done
expect 0 get
logged 4 "event=crl "
lists=$(grep -c "event=crl " "$work/ra.log")
crl "$lab" "$lab/rse/enrollment.oer"
logged $((lists + 4)) "event=crl "
expect 1 get
says "5055"
grep -q 'reason=blacklisted.*is on the CRL of series 4' "$work/ra.log" || fail "no reason in the log"
# The device knows it too, and does not ask.
expect 1 ee sync
says "the enrollment certificate is revoked"
forgive
lists=$(grep -c "event=crl " "$work/ra.log")
crl "$lab" "$lab/trust/eca.oer"
logged $((lists + 4)) "event=crl "
expect 1 get
says "5055"
cp "$work/cut.oer" "$lab/ra/crl.oer"
logged 1 "event=crl_not_used"
expect 1 get
says "5055"
# Nobody signs the file as a whole: a list that is missing in it stays in force, after a reload too.
lists=$(grep -c "event=crl " "$work/ra.log")
crl --series 3 -o "$work/one.oer" "$lab"
cp "$work/one.oer" "$lab/ra/crl.oer"
logged $((lists + 4)) "event=crl "
kill -HUP "$ra"
logged 1 "event=reloaded"
logged 1 "event=crl_kept lists=3"
expect 1 get
says "5055"
# A reload with an older list is none.
cp "$work/old.oer" "$lab/ra/crl.oer"
kill -HUP "$ra"
logged 1 "event=not_reloaded"
expect 1 get
says "5055"
lists=$(grep -c "event=crl " "$work/ra.log")
crl "$lab"
logged $((lists + 4)) "event=crl "
expect 0 get
kill -HUP "$ra"
logged 2 "event=reloaded"
expect 0 get

echo "- an RA does not start with a CRL that it cannot use"
kill "$ra" && wait "$ra" || true
cp "$work/altered.oer" "$lab/ra/crl.oer"
expect 2 "$bin/dot2hsm-ra" --check "$lab/ra.conf"
says "DOT2_E_SIGNATURE"
cp "$work/older.oer" "$lab/ra/crl.oer"
expect 2 "$bin/dot2hsm-ra" --check "$lab/ra.conf"
says "DOT2_E_DECODE, CompositeCrl.revokedRootCAs"
sed 's/^\[ra\]/[ra]\nelector-ballot = 1.2.1/' "$lab/ra.conf" >"$lab/older.conf"
expect 0 "$bin/dot2hsm-ra" --check "$lab/older.conf"
says "ballots=3"
cp "$work/new.oer" "$lab/ra/crl.oer"
for file in ra older; do
    expect 0 "$bin/dot2hsm-ra" --check "$lab/$file.conf"
    says "ballots=3"
done
sed 's/^\[ra\]/[ra]\nelector-ballot = 1.1/' "$lab/ra.conf" >"$lab/older.conf"
expect 2 "$bin/dot2hsm-ra" --check "$lab/older.conf"
says "neither 1.2.2 nor 1.2.1"
rm "$lab/ra/crl.oer"
expect 2 "$bin/dot2hsm-ra" --check "$lab/ra.conf"
expect 2 "$dot2hsm" lab crl
expect 2 "$dot2hsm" lab crl --series 0 "$lab"
expect 2 "$dot2hsm" lab crl "$work/nothing"
expect 1 "$dot2hsm" lab crl "$lab" "$work/message"
echo "ok"
