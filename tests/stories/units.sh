#!/usr/bin/env bash
# The systemd units are well formed and tight, and the sandbox leaves the programs what they call.
. "$SOURCE_DIR/tests/security/lib.sh"

cmake --install "$BUILD_DIR" --prefix "$work/prefix" --component tools >/dev/null
cmake --install "$BUILD_DIR" --prefix "$work/prefix" --component lib >/dev/null
units=$work/prefix/lib/systemd/system
bin=$work/prefix/bin
server=$units/dot2hsm-ra.service
sync=$units/dot2hsm-ee-sync.service

# verify says nothing but that a manual is not installed here.
systemd-analyze verify --man=no "$server" "$sync" "$units/dot2hsm-ee-sync.timer" >"$work/out" 2>&1 ||
    fail "$(cat "$work/out")"
[ ! -s "$work/out" ] || fail "$(cat "$work/out")"
for unit in "$server" "$sync"; do
    ! grep -q '@[a-z]*@' "$unit" || fail "$unit has a name that was not replaced"
    systemd-analyze security --offline=true --no-pager "$unit" >"$work/out" 2>"$work/err" ||
        fail "systemd-analyze security $unit"
    exposure=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p' "$work/out")
    awk -v x="$exposure" 'BEGIN { exit !(x != "" && x < 2.0) }' ||
        fail "$(basename "$unit"): exposure ${exposure:-not told}"
    echo "$(basename "$unit"): exposure $exposure"
    # PINs come as credentials, under the names that the unit's comment gives.
    name=$(sed -n 's/^LoadCredential=\([^:]*\):.*/\1/p' "$unit")
    grep -q "pin-source = credential:$name\$" "$unit" || fail "$unit does not tell about the PIN"
done
systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$units/dot2hsm-ee-sync.timer")" >/dev/null
expect 0 systemd-sysusers --dry-run "$work/prefix/lib/sysusers.d/dot2hsm.conf"
grep -q "dot2hsm" "$work/out" "$work/err" || fail "no user would be made"
# Directories are made as it says, in another root.
mkdir -p "$work/root/etc"
echo 'root:x:0:0::/:/bin/sh
dot2hsm:x:901:902::/:/bin/sh' >"$work/root/etc/passwd"
echo 'root:x:0:
dot2hsm:x:902:' >"$work/root/etc/group"
if [ "$(id -u)" -eq 0 ]; then
    expect 0 systemd-tmpfiles --create --root="$work/root" "$work/prefix/lib/tmpfiles.d/dot2hsm.conf"
    [ "$(stat -c %u:%g:%a "$work/root/etc/dot2hsm" "$work/root/var/lib/dot2hsm" | tr '\n' ' ')" = \
        "0:902:750 901:902:750 " ] || fail "$(stat -c %n:%u:%g:%a "$work/root/etc/dot2hsm")"
fi

# allowed FILE: the calls that the unit's SystemCallFilter leaves, one a line.
allowed() {
    local filter set
    while read -r filter; do
        for set in ${filter#"~"}; do
            case $filter in "~"*) printf -- '-' ;; *) printf -- '+' ;; esac
            echo "$set"
        done
    done < <(sed -n 's/^SystemCallFilter=//p' "$1") >"$work/sets"
    : >"$work/allowed"
    while read -r set; do
        expand "${set#[-+]}" | sort -u >"$work/set"
        case $set in
        +*) sort -u -o "$work/allowed" "$work/allowed" "$work/set" ;;
        -*) comm -23 "$work/allowed" "$work/set" >"$work/rest" && mv "$work/rest" "$work/allowed" ;;
        esac
    done <"$work/sets"
}
# expand SET: its calls, those of the sets in it too.
expand() {
    local call
    case $1 in
    @*)
        systemd-analyze syscall-filter --no-pager "$1" | sed -n 's/^ *\([-@a-z_0-9]*\)$/\1/p' |
            grep -vxF -- "$1" | while read -r call; do expand "$call"; done
        ;;
    *) echo "$1" ;;
    esac
}
# fits TRACE UNIT: what strace saw is allowed.
fits() {
    allowed "$2"
    [ "$(wc -l <"$work/allowed")" -gt 100 ] || fail "the filter of $2 was not understood"
    # From "PID call(...": the first call is the execve of strace, which systemd makes, too.
    sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' "$1" | sort -u >"$work/made"
    [ "$(wc -l <"$work/made")" -gt 30 ] || fail "strace saw too little"
    comm -23 "$work/made" "$work/allowed" >"$work/denied"
    [ ! -s "$work/denied" ] || fail "$(basename "$2") denies $(tr '\n' ' ' <"$work/denied")"
    ! grep -q 'PROT_EXEC' <(grep -E '^[0-9]* *(mprotect|pkey_mprotect)' "$1") ||
        fail "MemoryDenyWriteExecute would stop it"
}
tokens ra rse
expect 0 "$bin/dot2hsm" lab init "$work/lab" --module "$softhsm" \
    --pin-source "file:$work/%s.pin" --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse
sed -i -e 's/^port = .*/port = 0/' -e "s|^\[ra\]|&\nport-file = $work/run/ra.port|" "$work/lab/ra.conf"
# Not as root, for whom SQLite makes calls that it makes for nobody else.
as=() run=()
mkdir "$work/run"
if [ "$(id -u)" -eq 0 ]; then
    as=(-u nobody)
    run=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups)
    chmod 711 "$work"
    chown -R nobody "$work/tokens" "$work/lab" "$work"/*.pin "$work/softhsm2.conf"
    chmod -R go+rX "$work/prefix"
    chown nobody "$work/run"
fi
setsid strace -f "${as[@]}" -o "$work/ra.trace" "$bin/dot2hsm-ra" "$work/lab/ra.conf" >"$work/ra.log" 2>&1 &
for _ in $(seq 400); do
    [ -s "$work/run/ra.port" ] && break
    sleep 0.05
done
port=$(cat "$work/run/ra.port")
sed -i "s|^ra-url = .*|ra-url = https://localhost:$port|" "$work/lab/rse.conf"
file=$(basename "$work"/lab/ra/download/????????????????.zip)
expect 0 "${run[@]}" "$bin/dot2hsm" ee download --config "$work/lab/rse.conf" \
    --out "$work/run/received" "$file"
setsid "${run[@]}" "$bin/dot2hsm" lab run "$work/lab" >"$work/lab-run.log" 2>&1 &
expect 0 strace -f "${as[@]}" -o "$work/sync.trace" "$bin/dot2hsm" ee sync --config "$work/lab/rse.conf" --wait
server_pid=$(pgrep -f "^$bin/dot2hsm-ra ")
kill -HUP "$server_pid"
for _ in $(seq 100); do
    grep -q event=reloaded "$work/ra.log" && break
    sleep 0.05
done
grep -q event=reloaded "$work/ra.log" || fail "not reloaded"
kill -TERM "$server_pid"
for _ in $(seq 100); do
    grep -q event=stopped "$work/ra.log" && break
    sleep 0.05
done
fits "$work/ra.trace" "$server"
fits "$work/sync.trace" "$sync"
echo "the calls of server ($(sed -n 's/^[0-9]* *\([a-z_0-9]*\)(.*/\1/p' "$work/ra.trace" | sort -u | wc -l)) and sync are left to them"
