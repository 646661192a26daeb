# Sourced by the tests of ee sync: a lab in tokens or files, its RA, its CAs at work.
. "$SOURCE_DIR/tests/security/lib.sh"

dot2hsm=$bin/dot2hsm

# sync_lab OPTION...: lab init with these, the RA on a port of its own, and lab run.
sync_lab() {
    "$dot2hsm" lab init "$@" "$work/lab" >/dev/null
    lab=$work/lab
    sed -i "s/^port *=.*/port = 0/; /^url-base/d; /^certificate-delay/d; /^max-requests/d" "$lab/ra.conf"
    cat >>"$lab/ra.conf" <<END
port-file = $work/ra.port
certificate-delay = 1
max-requests = 0
END
    ra_start
    sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" "$lab"/*.conf
}

# cas_start OPTION...: the enrollment CA and the pseudonym CA of the lab.
cas_start() {
    setsid "$dot2hsm" lab run --interval 50 "$@" "$lab" >>"$work/cas.log" 2>&1 &
    cas=$!
    pids+=("$cas")
}

# says TEXT: the last command of expect said it.
says() {
    grep -qF -- "$1" "$work/out" "$work/err" || {
        cat "$work/out" "$work/err" >&2
        fail "no \"$1\""
    }
}

requests() { # accepted by the RA so far
    sqlite3 "$lab/ra/store.sqlite" "SELECT count(*) FROM requests"
}
