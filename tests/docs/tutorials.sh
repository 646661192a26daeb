#!/usr/bin/env bash
# The tutorials: what they tell the reader to type is typed, in order, from empty tokens to a signed
# message; between two steps stands what other people do. The CAs are those of a laboratory.
. "${SOURCE_DIR:?}/tests/docs/lib.sh"
tokens ra rse

# ---- without an RA, without an HSM: both in the background, each in an empty directory ----
free=$((20000 + RANDOM % 20000))
alone() { # alone DOCUMENT HEADING
    block "docs/$1.md" "$2"
    while (: <"/dev/tcp/127.0.0.1/$free") 2>/dev/null; do
        free=$((free + 1))
    done
    mkdir "$work/$1"
    {
        echo set -e
        sed "s/lab init lab/& --port $free/" "$work/block"
        echo 'kill $(jobs -rp)'
    } >"$work/$1.sh"
    free=$((free + 1))
    (cd "$work/$1" && exec setsid bash "$work/$1.sh" >"$work/$1.log" 2>&1 </dev/null) &
    alone_pids+=" $!"
}
alone tutorial-rse "## Without an RA"
alone tutorial-ra "## Without an HSM"

# ---- the RA ----
ra=docs/tutorial-ra.md
run $ra "## 1." <"$work/ra.pin"
[ "$(stat -c %a "$etc/ra.pin")" = 600 ] || fail "the PIN's file"
[ "$(dot2hsm keys list $o --json "pkcs11:token=ra;type=private" | grep -c '"sensitive":true')" = 3 ] ||
    fail "not three sensitive keys"
run $ra "## 2." 1
openssl req -in ra-tls.csr -noout -verify 2>/dev/null || fail "the CSR"
run $ra "## 2." 2
# The CAs: a laboratory around these three keys.
lab=$work/lab
dot2hsm lab init "$lab" --module "$softhsm" --ra-token pkcs11:token=ra --reuse-keys \
    --pin-source "file:$work/ra.pin" --host ra.example.org >/dev/null
openssl x509 -in "$lab/ra/tls.pem" -noout -pubkey >tls.pub.pem
openssl req -in ra-tls.csr -noout -pubkey | cmp - tls.pub.pem || fail "the CSR has another key"
cp "$lab/ra/tls.pem" "$etc"
cp "$lab"/trust/{root,ica,eca}.oer "$etc/trust"
cp "$lab/trust/ra.oer" .
run $ra "## 2." 3
block $ra "## 3." 1
# One port for everybody is what a test cannot have, and an hour's delay neither.
sed "s|^\[ra\]|&\nport = 0\nport-file = $work/ra.port\ncertificate-delay = 1|; s|^log = .*||" \
    "$work/block" >"$etc/ra.conf"
cp "$lab"/ra/local_*.oer "$var"
run $ra "## 3." 2
run $ra "## 4." 1
run $ra "## 4." 2 's/$/ >"$work\/ra.log" 2>\&1 \&/'
for _ in $(seq 200); do
    [ ! -s "$work/ra.port" ] || break
    sleep 0.05
done
port=$(cat "$work/ra.port")
grep -q "event=started port=$port tls_key=\"pkcs11:token=ra" "$work/ra.log" || fail "no event=started"
cp "$lab/trust/x509-root.pem" ra-root.pem
run $ra "## 4." 3
cp "$lab/rse/enrollment.oer" device.oer
run $ra "## 5."
expect 0 dot2hsm ra blacklist list --config "$etc/ra.conf"
grep -q 'stolen, case 4711$' "$work/out" || fail "not on the blacklist: $(cat "$work/out")"

# ---- the RSE ----
rse=docs/tutorial-rse.md
run $rse "## 1."
cp "$lab"/trust/{ica,eca,pca}.oer "$etc/trust"
cp "$lab/trust/root.oer" "$etc/root.oer"
cp ra-root.pem "$etc"
run $rse "## 2." 1 <"$work/rse.pin"
block $rse "## 2." 2
sed "s|^ra-url = .*|&:$port\nresolve = ra.example.org:$port:127.0.0.1\nenrollment = explicit|" \
    "$work/block" >"$etc/dot2hsm.conf"
# As step 3 says: what is not there yet is the only fault.
block $rse "## 3."
expect 2 bash "$work/block"
[ "$(grep '^fault' "$work/out")" = "fault  certificate: $etc/enrollment.oer: No such file or directory" ] ||
    fail "$(grep '^fault' "$work/out")"
sed -i -e "s|^store = .*|store = sqlite:$var/ra.sqlite|" -e "s|^download-dir = .*|download-dir = $var/download|" \
    "$lab/ra.conf"
setsid dot2hsm lab run --interval 50 --enrollment explicit "$lab" >"$work/cas.log" 2>&1 &
run $rse "## 4." 1
mv request.oer "$lab/eca/requests/request.oer"
for _ in $(seq 100); do
    [ ! -e "$lab/eca/responses/request.oer" ] || break
    sleep 0.05
done
cp "$lab/eca/responses/request.oer" response.oer
run $rse "## 4." 2
run $rse "## 5."
run $rse "## 6."
run $rse "## 7."
expect 0 dot2hsm doctor --config "$etc/dot2hsm.conf" --login
expect 0 dot2hsm ra status --config "$etc/ra.conf"
[ -s "$var/ra.sqlite" ] || fail "the device has removed the store of the RA beside it"

# ---- the README, with what is there now ----
printf '\x2b\x14\x3c\x5d' >time32
cp "$etc/enrollment.oer" enrollment.cert
cp "$etc/root.oer" root.cert
cp -r "$etc/trust" certs
cp "$etc/rse.pin" pin
run README.md "### With OpenSSL" 2 '1i cat >openssl.cnf <<END
$a END'
sed -i "s|^pin-source = .*|pin-source = file:$PWD/pin|" openssl.cnf
export OPENSSL_CONF=$PWD/openssl.cnf OPENSSL_MODULES=$DOT2HSM_MODULES # where an installed one is found
run README.md "### With OpenSSL" 1
unset OPENSSL_CONF OPENSSL_MODULES
run README.md "### A key and a signature" 1 '1,2s/object=enrollment/object=another/; s/^dot2hsm sign/& --pin-source file:pin --module $softhsm/'
grep -q 'another' <(dot2hsm keys list --config "$etc/dot2hsm.conf") || fail "no key was made"

for pid in $alone_pids; do
    wait "$pid" || fail "without RA or HSM"
done
dot2hsm verify --root "$work/tutorial-rse/lab/trust/root.oer" --cert "$work/tutorial-rse/lab/trust" \
    "$work/tutorial-rse/message.spdu" >/dev/null || fail "no message without an RA"
ls "$work"/tutorial-ra/lab/rse/state/application-*.oer >/dev/null || fail "no certificate without an HSM"
echo "the tutorials and the README were typed, and what they promise is there"
