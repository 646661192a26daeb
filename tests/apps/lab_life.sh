#!/usr/bin/env bash
# The whole life of a device in a lab: enrolled, provisioned, signing; with its keys in files
# (implicit certificates, as the CV Pilots have them) and in a token (explicit ones).
. "$SOURCE_DIR/tests/apps/lib.sh"

port=$((20000 + RANDOM % 20000))
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
done
tokens rse
"$dot2hsm" lab init lab --port "$port" --module "$module" --rse-token pkcs11:token=rse \
    --pin-source "file:$work/rse.pin" >/dev/null
"$BUILD_DIR/bin/dot2hsm-ra" lab/ra.conf >ra.log 2>&1 &
ra=$!
cas=
stop() {
    status=$?
    # shellcheck disable=SC2086
    kill $ra $cas 2>/dev/null || true
    wait
    rm -rf "$work"
    exit $status
}
trap stop EXIT
for _ in $(seq 400); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$ra" || fail "the RA did not start: $(cat ra.log)"
    sleep 0.05
done

# device NAME KIND LIKE: a configuration of a device that is not enrolled yet, after another.
device() {
    mkdir "$1"
    sed -e "s|^enrollment-certificate.*|enrollment-certificate = $work/$1/enrollment.oer|" \
        -e "s|^enrollment = .*|enrollment = $2|" \
        -e "s|^state-dir.*|state-dir = $work/$1/state|" "lab/$3.conf" >"$1.conf"
}

# enroll NAME KIND PSID: through the files of the lab's ECA.
enroll() {
    expect 0 "$dot2hsm" ee enroll --config "$1.conf" --request "lab/eca/requests/$1.oer" --psid "$3"
    expect 0 "$dot2hsm" lab run --once --enrollment "$2" lab
    [ -e "lab/eca/responses/$1.oer" ] || fail "refused: $(cat "lab/eca/refused/$1.oer.txt")"
    expect 0 "$dot2hsm" ee enroll --config "$1.conf" --response "lab/eca/responses/$1.oer"
    expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust --purpose enrollment \
        "$1/enrollment.oer"
    says out "$2"
}

# live NAME KIND PSID: asks for a certificate, gets one of this kind, signs under it.
live() {
    "$dot2hsm" lab run --application "$2" lab >"$1.cas" &
    cas=$!
    expect 0 "$dot2hsm" ee sync --config "$1.conf" --wait
    says out "changed: certificate"
    kill -TERM $cas
    wait $cas || fail "the CAs ended with $?"
    cas=
    says "$1.cas" "application certificate"
    expect 0 "$dot2hsm" ee status --config "$1.conf"
    grep -Eq "^application .* $2 +valid" out || fail "no $2 application certificate: $(cat out)"
    printf 'from %s' "$1" >message
    expect 0 "$dot2hsm" ee sign --config "$1.conf" --psid "$3" --out "$1.signed" message
    expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust "$1.signed"
    says out "$2"
    says "$1.signed" "from $1"
    expect 1 "$dot2hsm" ee sign --config "$1.conf" --psid 0x21 --out none message
    # Nothing is due: nothing is asked for, and the CAs have nothing to do.
    expect 0 "$dot2hsm" ee sync --config "$1.conf"
    expect 0 "$dot2hsm" lab run --once lab
    says out "0 requests answered"
}

# Software keys: implicit certificates all the way.
device soft implicit obe
sed -i "s|^enrollment-key.*|enrollment-key = \"file:$work/soft/enrollment.key\"|" soft.conf
enroll soft implicit 0x82
live soft implicit 0x82

# Keys in a token: explicit ones.
device hard explicit rse
sed -i 's|^enrollment-key.*|enrollment-key = "pkcs11:token=rse;object=second"|' hard.conf
enroll hard explicit 0x83
live hard explicit 0x83

# What was asked for with one key is not installed for another.
device other implicit obe
sed -i "s|^enrollment-key.*|enrollment-key = \"file:$work/other/enrollment.key\"|" other.conf
expect 0 "$dot2hsm" ee enroll --config other.conf --request other.oer --psid 0x82
expect 1 "$dot2hsm" ee enroll --config other.conf --response lab/eca/responses/soft.oer

# A PSID that no ECA of the lab may give.
cp other.oer lab/eca/requests/good.oer
rm -f other.oer
device greedy implicit obe
sed -i "s|^enrollment-key.*|enrollment-key = \"file:$work/greedy/enrollment.key\"|" greedy.conf
expect 0 "$dot2hsm" ee enroll --config greedy.conf --request lab/eca/requests/greedy.oer --psid 0x555
expect 0 "$dot2hsm" lab run --once lab
says lab/eca/refused/greedy.oer.txt ecaInvalidPsid
[ -e lab/eca/responses/good.oer ] || fail "a refused request held up another"

# A device that was blacklisted after its request was accepted is not given its certificate.
expect 0 "$dot2hsm" ee sync --config lab/obe.conf
expect 0 "$dot2hsm" ra blacklist add --config lab/ra.conf lab/obe/enrollment.oer
expect 0 "$dot2hsm" lab run --once lab
says out "blacklisted"
done_testing
