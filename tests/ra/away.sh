#!/usr/bin/env bash
# The store goes away under a server at work, and comes back: requests are refused meanwhile, soon
# and with a line in the log, none that was acknowledged is lost, and nobody restarts the server.
#   away.sh database   PostgreSQL is stopped, killed, or stands still
#   away.sh disk       SQLite's file system is full, and so is the log's
. "$SOURCE_DIR/tests/ra/load_lib.sh"

what=$1
rounds=1
[ -z "${DOT2HSM_LONG:-}" ] || rounds=20

# Everything below needs a file system of its own, to fill.
if [ "$what" = disk ] && [ -z "${AWAY_INSIDE:-}" ]; then
    unshare -rm true || fail "no mount namespace is to be had"
    trap - EXIT
    rm -rf "$work"
    AWAY_INSIDE=1 exec unshare -rm bash "$0" disk
fi

one_body() {
    "$tools/ra_client" body app "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" \
        "$lab/trust/ra.oer" >"$work/body"
}
# post: the status, 000 if there was none; in at most so many seconds as a caller may wait.
post() {
    curl -s -D "$work/head" -o "$work/answer" -w '%{http_code}' --max-time 15 --cacert "$lab/trust/x509-root.pem" \
        --resolve "localhost:$port:127.0.0.1" -H 'Content-Type: application/octet-stream' \
        --data-binary "@$work/body" "https://localhost:$port/provision-application-certificate" || true
}
# refused: the store is away, and a request is told so; the server is alive.
refused() {
    local begin=$SECONDS got
    one_body
    got=$(post)
    [ "$got" = 500 ] || fail "$1: a request gets $got"
    [ $((SECONDS - begin)) -le "$2" ] || fail "$1: after $((SECONDS - begin)) s"
    grep -q "event=refused.*reason=store" "$log" || fail "$1: the log does not say so"
}
# until_full: requests go through while there is room in what the store has of the disk already.
until_full() {
    for _ in $(seq 500); do
        one_body
        if [ "$(post)" != 200 ]; then
            refused "full" 5
            return
        fi
        echo "A $(sha256sum "$work/body" | cut -c 1-64 | tr a-f A-F)" >>"$work/answers"
    done
    fail "the disk does not fill"
}
# accepted: the very request that was refused goes through, or has done so without our knowing.
accepted() {
    local got=000 letter=A
    for _ in $(seq 100); do
        got=$(post)
        if [ "$got" = 500 ] && grep -qi '^SCMS-POC-Error: 5057' "$work/head"; then
            got=200
            letter=D
        fi
        [ "$got" != 200 ] || break
        sleep 0.1
    done
    [ "$got" = 200 ] || fail "$1: the same request gets $got"
    echo "$letter $(sha256sum "$work/body" | cut -c 1-64 | tr a-f A-F)" >>"$work/answers"
}
figure() {
    curl -s "http://127.0.0.1:$(cat "$work/metrics.port")/metrics" | sed -n "s/^$1 //p"
}
configure() {
    {
        cat "$work/base.conf"
        cat <<EOC
[ra]
threads = 2
port-file = $work/ra.port
metrics-port = 0
metrics-port-file = $work/metrics.port
EOC
    } >"$work/ra.conf"
}

database() {
    local pg="$SOURCE_DIR/tests/ra/postgres.sh" descriptors server n got
    load_lab postgresql
    configure
    ra_start "$work/ra.conf"
    load_start "$work/ra.port" 4 away
    more 5
    descriptors=$(figure process_open_fds)
    for _ in $(seq "$rounds"); do
        bash "$pg" halt "$work/pg"
        refused "stopped" 2
        bash "$pg" again "$work/pg"
        accepted "started again"
        more 1
        [ -n "${DOT2HSM_LONG:-}" ] || continue
        bash "$pg" kill "$work/pg"
        refused "killed" 2
        bash "$pg" again "$work/pg"
        accepted "started after it was killed"
        more 1
    done
    if [ -n "${DOT2HSM_LONG:-}" ]; then
        # It is there, and does not answer: all of its processes stand still.
        server=$(head -n 1 "$work/pg/data/postmaster.pid")
        kill -STOP "$server"
        pkill -STOP -P "$server"
        refused "stands still" 14
        pkill -CONT -P "$server"
        kill -CONT "$server"
        accepted "goes on"
        more 1
    fi
    n=$(figure process_open_fds)
    [ "$n" -le $((descriptors + 14)) ] || fail "descriptors: $descriptors, now $n"
    [ "$(figure dot2hsm_ra_store_errors_total)" -ge 1 ] || fail "store errors are not counted"
}

# Before the directory is removed; story_end takes the status from what ran last.
disk_end() {
    local status=$?
    umount -l "$work/full" "$work/logs" 2>/dev/null || true
    set +e
    (exit "$status")
    story_end
}
disk() {
    local n
    load_lab sqlite
    mkdir "$work/full" "$work/logs"
    mount -t tmpfs -o size=24m tmpfs "$work/full"
    trap disk_end EXIT
    mount -t tmpfs -o size=1m tmpfs "$work/logs"
    sed -i "s|^store = .*|store = sqlite:$work/full/store.sqlite|" "$work/base.conf"
    configure
    echo "log = $work/logs/log" >>"$work/ra.conf"
    log=$work/logs/log
    ra_start "$work/ra.conf"
    ln -s "$work/full/store.sqlite" "$work/store.sqlite"
    load_start "$work/ra.port" 4 away
    more 5
    for _ in $(seq "$rounds"); do
        cat /dev/zero >"$work/full/filler" 2>/dev/null || true
        until_full
        rm "$work/full/filler"
        accepted "with room again"
        more 1
    done
    # The log's disk: requests are served without a line, and later it is told how many there were.
    cat /dev/zero >"$work/logs/filler" 2>/dev/null || true
    sleep 0.2
    n=$(wc -l <"$log")
    more 20
    [ $(($(wc -l <"$log") - n)) -le 60 ] || fail "the log grows where it cannot"
    rm "$work/logs/filler"
    more 2
    grep -q "event=log_lost lines=[1-9]" "$log" || fail "lost lines are not told of"
    # A line that was cut ends where the next begins.
    if grep "Z level=.*Z level=" "$log"; then fail "lines are mixed up"; fi
    [ "$(figure dot2hsm_ra_store_errors_total)" -ge 1 ] || fail "store errors are not counted"
}

log=$work/ra.log
"$what"
load_end
kill -TERM "$ra"
wait "$ra" || fail "ended with $?"
load_lab_end
