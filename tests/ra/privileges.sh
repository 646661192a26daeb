#!/usr/bin/env bash
# What dot2hsm-ra may still do once it serves: user, groups, capabilities, debuggers, cores; and what
# it tells systemd. The changes of user need root; the rest is tested by whoever runs this.
. "$SOURCE_DIR/tests/security/lib.sh"

user=nobody
uid=$(id -u $user) gid=$(id -g $user)
root=
[ "$(id -u)" -ne 0 ] || root=1

# says FILE TEXT
says() {
    grep -qF -- "$2" "$1" || {
        cat "$1" >&2
        fail "\"$2\" is not in $1"
    }
}

# status PID KEY: the value in /proc/PID/status, blanks as one space.
status() {
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr -s '\t ' ' ' | sed 's/ $//'
}

# bare PID: no way to more rights, in any thread.
bare() {
    local task
    for task in /proc/"$1"/task/*; do
        grep -q '^NoNewPrivs:[[:space:]]*1$' "$task/status" || fail "$task may gain rights"
    done
    grep -q '^Max core file size *0 *0 ' "/proc/$1/limits" || fail "core files are on"
}

# The programs, tokens and laboratory where another user can reach them, too.
tokens ra rse
mkdir "$work/bin" "$work/lib"
cp "$bin/dot2hsm" "$bin/dot2hsm-ra" "$work/bin"
cp "$BUILD_DIR/lib/dot2hsm.so" "$work/lib"
unset DOT2HSM_MODULES
export DOT2HSM_PROVIDER_PATH=$work/lib
bin=$work/bin
expect 0 "$bin/dot2hsm" lab init "$work/lab" --module "$softhsm" \
    --pin-source "file:$work/%s.pin" --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse
config=$work/ra.conf
mkdir "$work/run"
sed -e 's/^port = .*/port = 0/' -e '/^port-file/d' -e '/^log = /d' "$work/lab/ra.conf" >"$config"
# Keys of [ra] come before the next section.
sed -i "s|^\[ra\]|&\nport-file = $work/run/ra.port\npid-file = $work/run/ra.pid\nlog = $work/run/log|" \
    "$config"

# begin COMMAND...: starts the RA so; $ra is its process, $port its port.
begin() {
    rm -f "$work/run/ra.port"
    "$@" "$bin/dot2hsm-ra" "$work/user.conf" >>"$work/stderr.log" 2>&1 &
    ra=$!
    for _ in $(seq 200); do
        [ -s "$work/run/ra.port" ] && break
        kill -0 "$ra" 2>/dev/null || fail "the RA ended"
        sleep 0.05
    done
    port=$(cat "$work/run/ra.port")
}
finish() {
    kill -TERM "$ra"
    wait "$ra" || fail "the RA ended with $?"
    [ ! -e "$work/run/ra.port" ] && [ ! -e "$work/run/ra.pid" ] || fail "files are left"
}
# with USER: the configuration with this user.
with() {
    sed "s|^\[ra\]|&\nuser = $1|" "$config" >"$work/user.conf"
}

# A user that is none, or that is root.
with no-such-user
expect 2 "$bin/dot2hsm-ra" --check "$work/user.conf"
says "$work/err" 'user is "no-such-user": unknown'
with root
expect 2 "$bin/dot2hsm-ra" --check "$work/user.conf"
says "$work/err" 'which is root'

# Without a user, who started it stays; systemd hears when it is ready and when it stops.
cat >"$work/listen.py" <<'PY'
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
listener.bind("\0" + name[1:] if name[0] == "@" else name)
listener.settimeout(30)
print("bound", flush=True)
for _ in range(2):
    print(listener.recv(100).decode(), flush=True)
PY
cp "$config" "$work/user.conf"
for socket in "$work/notify" "@dot2hsm-test-$$"; do
    python3 "$work/listen.py" "$socket" >"$work/heard" &
    listener=$!
    for _ in $(seq 100); do
        grep -q bound "$work/heard" && break
        sleep 0.05
    done
    begin env "NOTIFY_SOCKET=$socket"
    bare "$ra"
    for _ in $(seq 100); do
        grep -qx READY=1 "$work/heard" && break
        sleep 0.05
    done
    [ "$(cat "$work/heard")" = "bound
READY=1" ] || fail "not told that it is ready: $(cat "$work/heard")"
    finish
    wait "$listener" || fail "the listener: $(cat "$work/heard")"
    [ "$(tail -n 1 "$work/heard")" = STOPPING=1 ] || fail "not told that it stops"
done
# A socket that is not there does not stop it.
begin env "NOTIFY_SOCKET=$work/nothing"
says "$work/run/log" event=not_notified
finish

if [ -z "$root" ]; then
    with $user
    expect 2 "$bin/dot2hsm-ra" --check "$work/user.conf"
    says "$work/err" 'which root alone can become'
    echo "dot2hsm-ra: as it says, for a user who is not root"
    exit 0
fi

# Root becomes the user, after a port that root alone may bind was bound.
chmod 711 "$work" "$work/lab" "$work/lab/ra" "$work/lab/trust" "$work/bin" "$work/lib"
chmod 755 "$work"/bin/* "$work"/lib/*
chmod 644 "$work/softhsm2.conf"
chown "$user" "$work/run"
rm -f "$work/run/log"
for low in $(shuf -i 600-1000 -n 20); do
    (: <"/dev/tcp/127.0.0.1/$low") 2>/dev/null || break
done
with $user
sed -i "s/^port = 0/port = $low/" "$work/user.conf"

# What it lacks as that user is said at the start, not at the first device.
expect 3 "$bin/dot2hsm-ra" --check "$work/user.conf"
says "$work/err" "store.sqlite: unable to open"
chown -R "$user" "$work/lab/ra"
expect 3 "$bin/dot2hsm-ra" --check "$work/user.conf"
says "$work/err" "does not sign for user $user"
chown -R "$user" "$work/tokens"
expect 0 "$bin/dot2hsm-ra" --check "$work/user.conf"
# A store that is made is the user's, who opens it again with every thread.
store=$work/run/made.sqlite
sed "s|^store = .*|store = sqlite:$store|" "$work/user.conf" >"$work/other.conf"
expect 0 "$bin/dot2hsm-ra" --check "$work/other.conf"
[ "$(stat -c %U "$store")" = $user ] || fail "the store is not the user's"

begin setpriv --groups 4,24 --
[ "$port" = "$low" ] || fail "port $port"
[ "$(status "$ra" Uid)" = "$uid $uid $uid $uid" ] || fail "user $(status "$ra" Uid)"
[ "$(status "$ra" Gid)" = "$gid $gid $gid $gid" ] || fail "group $(status "$ra" Gid)"
[ "$(status "$ra" Groups)" = "$gid" ] || fail "groups $(status "$ra" Groups)"
for task in /proc/"$ra"/task/*; do
    [ "$(sed -n 's/^Uid:[[:space:]]*//p' "$task/status" | tr '\t' ' ')" = "$uid $uid $uid $uid" ] ||
        fail "a thread is another user"
    for set in CapInh CapPrm CapEff CapAmb; do
        grep -q "^$set:[[:space:]]*0*\$" "$task/status" || fail "$set is not empty"
    done
done
bare "$ra"
says "$work/run/log" "uid=$uid"
for file in "$work/run/log" "$work/run/ra.pid" "$work/run/ra.port"; do
    [ "$(stat -c %U "$file")" = $user ] || fail "$file is $(stat -c %U "$file")'s"
done

# It signs with the token and serves as that user, and a reload opens the user's log again.
download() {
    file=$(basename "$work"/lab/ra/download/????????????????.zip)
    rm -f "$work/run/received"
    # The device's program is nobody special either.
    setpriv --reuid=$user --regid="$gid" --clear-groups env "SOFTHSM2_CONF=$SOFTHSM2_CONF" \
        "$bin/dot2hsm" ee download --config "$work/lab/rse.conf" \
        --ra-url "https://localhost:$port" --out "$work/run/received" "$file"
    cmp "$work/run/received" "$work/lab/ra/download/$file"
}
chown "$user" "$work/rse.pin"
chown -R "$user" "$work/lab/rse" "$work/lab/rse.conf" "$work/lab/trust"
expect 0 download
mv "$work/run/log" "$work/run/log.1"
chown "$user" "$work/user.conf" "$work/ra.pin"
kill -HUP "$ra"
for _ in $(seq 100); do
    grep -q 'event=\(not_\)*reloaded' "$work/run/log" 2>/dev/null && break
    sleep 0.05
done
says "$work/run/log" event=reloaded
expect 0 download
finish

# Nobody of the same user looks into it, even where no user was changed.
cp "$config" "$work/user.conf"
begin setpriv --reuid=$user --regid="$gid" --clear-groups --
[ "$(status "$ra" Uid)" = "$uid $uid $uid $uid" ] || fail "user $(status "$ra" Uid)"
[ "$(stat -c %u "/proc/$ra/mem")" = 0 ] || fail "the process can be dumped and debugged"
if setpriv --reuid=$user --regid="$gid" --clear-groups \
    head -c 1 "/proc/$ra/environ" >"$work/out" 2>&1; then
    fail "its environment can be read"
fi
finish
# The user that it is already.
with $user
expect 0 setpriv --reuid=$user --regid="$gid" --clear-groups "$bin/dot2hsm-ra" --check \
    "$work/user.conf"
# Another one than it is.
with daemon
expect 2 setpriv --reuid=$user --regid="$gid" --clear-groups "$bin/dot2hsm-ra" --check \
    "$work/user.conf"
says "$work/err" 'which root alone can become'
echo "dot2hsm-ra: as it says, as root and as $user"
