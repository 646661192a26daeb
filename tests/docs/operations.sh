#!/usr/bin/env bash
# docs/operations.md: what it tells the operator of an RA to type is typed at a server that runs.
. "${SOURCE_DIR:?}/tests/docs/lib.sh"
doc=docs/operations.md
tokens ra
# The roll-over's keys are in a token of their own, since a laboratory names them as the first ones.
softhsm2-util --init-token --free --label ra2 --pin pin-of-ra --so-pin 87654321 >/dev/null
cp "$work/ra.pin" "$etc/ra.pin"
export CREDENTIALS_DIRECTORY=$etc
lab=$work/lab lab2=$work/lab2
dot2hsm lab init "$lab" --module "$softhsm" --ra-token pkcs11:token=ra \
    --pin-source "file:$work/ra.pin" --host ra.example.org >/dev/null
cp "$lab/rse/enrollment.oer" device.oer
cp "$lab/trust/eca.oer" .
sed -e '/^url-base/d; s/^port = .*/port = 0/; s|^pin-source = .*|pin-source = credential:ra.pin|' \
    -e "s|^\[ra\]|&\nport-file = $work/ra.port\nmetrics-port = 0\nmetrics-port-file = $work/metrics.port|" \
    -e "s|^store = .*|store = sqlite:$var/ra.sqlite|" "$lab/ra.conf" >"$etc/ra.conf"
config=$etc/ra.conf

# systemctl WHAT: does it to the server.
systemctl() {
    case $1 in
    stop) kill "$ra" && wait "$ra" ;;
    start) ra_start "$config" ;;
    reload)
        : >"$work/ra.log"
        kill -HUP "$ra"
        for _ in $(seq 100); do
            ! grep -q 'event=reloaded' "$work/ra.log" || return 0
            sleep 0.05
        done
        fail "not reloaded"
        ;;
    *) fail "systemctl $*" ;;
    esac
}
# runuser -u WHO -- COMMAND...: at the PostgreSQL of this test.
runuser() {
    [ "$1" = -u ] && [ "$3" = -- ] || fail "runuser $*"
    PGUSER=$2 "${@:4}"
}
ra() { dot2hsm ra "$1" "$2" --config "$config" "${@:3}"; }
get() { # get PATH [OPTION...]
    curl -sf -o "$work/got" --cacert "$lab/trust/x509-root.pem" "${@:2}" "https://ra.example.org:$port$1"
}

# lost_and_found N [M]: what was entered before the backup of this block is there after block M.
lost_and_found() {
    ra blacklist add device.oer >/dev/null
    run $doc "## What state" "$1" "s|/root/|$work/|g"
    ra blacklist remove device.oer >/dev/null
    [ "${3:-}" != stop ] || systemctl stop
    run $doc "## What state" "$2" "s|/root/|$work/|g"
    [ "${3:-}" != stop ] || systemctl start
    ra blacklist list >"$work/list"
    grep -q "$(dot2hsm hash device.oer | sed -n 's/^SHA-256 *//p')" "$work/list" || fail "not restored"
    get /download/policy/local || fail "not served after it was restored"
    ra blacklist remove device.oer >/dev/null
}
ra_start "$config"
lost_and_found 1 2
[ "$(stat -c %a "$work/ra-backup.sqlite")" = 600 ] || fail "others can read the backup"

# ---- the same in PostgreSQL ----
chmod 0711 "$work" # it runs as somebody else
pg=$(bash "$SOURCE_DIR/tests/ra/postgres.sh" start "$work/pg" $$)
PATH=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH
export PGHOST=$work/pg
psql -qX "$pg" -c 'CREATE ROLE postgres SUPERUSER LOGIN'
PGUSER=postgres psql -qX postgres -c 'ALTER ROLE dot2hsm RENAME TO installer'
run $doc "## Several nodes" 1
systemctl stop
cp "$config" sqlite.conf
sed -i "s|^store = .*|store = \"postgresql:host=$PGHOST user=dot2hsm dbname=dot2hsm\"|" "$config"
systemctl start
lost_and_found 3 4 stop
systemctl stop
cp sqlite.conf "$config"
systemctl start
bash "$SOURCE_DIR/tests/ra/postgres.sh" stop "$work/pg"

# ---- roll-over ----
names='s/token=ra;object=\([a-z-]*\)-2/token=ra2;object=\1/'
run $doc "## Rolling over" 1 "$names"
dot2hsm lab init "$lab2" --module "$softhsm" --ra-token pkcs11:token=ra2 --reuse-keys \
    --pin-source "file:$work/ra.pin" --host ra.example.org >/dev/null
cp "$lab2/trust/ra.oer" "$etc/ra-2.oer"
sed -i -e "s|^anchors = .*|&, $lab2/trust/root.oer|; s|^certificates = .*|&, $lab2/trust|" "$config"
block $doc "## Rolling over" 2
sed "$names" "$work/block" >>"$config"
run $doc "## Rolling over" 3
grep -q 'ra-key 2 ' "$work/typed.log" || fail "ra status does not name the new section"
printf '\003\200\005\001\203\200\000\001' >request
get /retrieve-ra-certificate -H 'Content-Type: application/octet-stream' --data-binary @request ||
    fail "no certificate"
cmp "$work/got" "$etc/ra-2.oer" || fail "the old certificate is given"

# ---- who is not served; the CRL; the figures that are worth an alert ----
run $doc "## Locking"
[ "$(ra blacklist list | wc -l)$(ra eca list | wc -l)" = 11 ] || fail "the lists"
cp "$lab/ra/crl.oer" "$work/composite.crl"
sed -i "s|^\[ra\]|&\ncrl-file = $work/composite.crl\ncrl-port = 0\ncrl-port-file = $work/crl.port|" "$config"
systemctl stop
systemctl start
for _ in $(seq 100); do
    [ ! -s "$work/crl.port" ] || break
    sleep 0.05
done
curl -sf -o "$work/got" --cacert "$lab/trust/x509-root.pem" --resolve "ra.example.org:$(cat "$work/crl.port"):127.0.0.1" \
    "https://ra.example.org:$(cat "$work/crl.port")/download-crl/" || fail "no CRL"
cmp "$work/got" "$work/composite.crl" || fail "another CRL"
curl -sf -o "$work/figures" "http://127.0.0.1:$(cat "$work/metrics.port")/metrics" || fail "no figures"
sed -n '/^## What to watch/,/^## When/s/^| `\([a-z0-9_]*\).*/\1/p' "$SOURCE_DIR/$doc" >"$work/names"
[ "$(wc -l <"$work/names")" -ge 6 ] || fail "no figures in the document"
while read -r name; do
    grep -q "^# TYPE [a-z0-9_]*$name " "$work/figures" || fail "there is no figure $name"
done <"$work/names"

# ---- haproxy before two nodes, which are one here ----
front=$((20000 + RANDOM % 20000))
while (: <"/dev/tcp/127.0.0.1/$front") 2>/dev/null; do
    front=$((front + 1))
done
block $doc "## Several nodes" 2
sed -e "s/bind :8892/bind 127.0.0.1:$front/" -e "s/10\.0\.0\.1[12]:8892/127.0.0.1:$port/" "$work/block" \
    >haproxy.cfg
expect 0 haproxy -c -f haproxy.cfg
! grep -qi warning "$work/out" "$work/err" || fail "$(cat "$work/out" "$work/err")"
setsid haproxy -db -f haproxy.cfg >"$work/haproxy.log" 2>&1 &
for _ in $(seq 100); do
    (: <"/dev/tcp/127.0.0.1/$front") 2>/dev/null && break
    sleep 0.05
done
port=$front
get /download/policy/local || fail "not served through haproxy"
echo "what the operator is told to type works"
