#!/usr/bin/env bash
# postgres.sh: a PostgreSQL server for a test: in a directory of its own, under an unprivileged
# user, with a Unix socket in that directory and no TCP port. No system service is touched.
#
#   postgres.sh start DIR [PID]   makes the cluster, starts it, prints its connection string; when
#                                 the process PID ends, the server is stopped and DIR removed
#   postgres.sh again DIR         starts a server that was stopped or killed
#   postgres.sh kill DIR          kill -9 of the server
#   postgres.sh halt DIR          stops it
#   postgres.sh stop DIR          stops it and removes DIR
# DIR must not exist before start, and must have a parent that every user can enter.
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$2
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$bin/initdb" ] || {
    echo "PostgreSQL is not installed (Debian: postgresql)" >&2
    exit 1
}

# PostgreSQL refuses to run as root.
as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd "$dir" && setpriv --reuid=nobody --regid=nogroup --clear-groups \
            env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$dir" "$@")
    else
        (cd "$dir" && env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$dir" "$@")
    fi
}

launch() {
    as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s start </dev/null >/dev/null ||
        {
            cat "$dir/log" >&2
            exit 1
        }
}

server_pid() { head -n 1 "$dir/data/postmaster.pid" 2>/dev/null || true; }

case $1 in
start)
    mkdir -m 0700 "$dir"
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$dir"
    as_user "$bin/initdb" -D "$dir/data" -U dot2hsm -A trust -E UTF8 --no-sync \
        >"$dir.initdb" 2>&1 || {
        cat "$dir.initdb" >&2
        rm -rf "$dir" "$dir.initdb"
        exit 1
    }
    rm -f "$dir.initdb"
    cat >>"$dir/data/postgresql.conf" <<EOF
listen_addresses = ''
unix_socket_directories = '$dir'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 16MB
min_wal_size = 32MB
EOF
    launch
    if [ -n "${3:-}" ]; then
        (
            while kill -0 "$3" 2>/dev/null; do sleep 0.5; done
            "$here/postgres.sh" stop "$dir"
        ) </dev/null >/dev/null 2>&1 &
    fi
    echo "host=$dir port=5432 user=dot2hsm dbname=postgres"
    ;;
again)
    # One that was killed leaves its file, and children that need a moment to notice.
    for _ in $(seq 50); do
        if as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s start </dev/null \
            >/dev/null 2>&1; then
            exit 0
        fi
        sleep 0.1
    done
    cat "$dir/log" >&2
    exit 1
    ;;
kill)
    pid=$(server_pid)
    kill -9 "$pid"
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    ;;
halt)
    as_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w -s stop >/dev/null
    ;;
stop)
    [ -d "$dir" ] || exit 0
    as_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w -s stop >/dev/null 2>&1 || true
    rm -rf "$dir"
    ;;
*)
    exit 2
    ;;
esac
