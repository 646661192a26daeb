# Sourced by the tests of ee sync: a lab in tokens or files, its RA, its CAs at work.
. "$SOURCE_DIR/tests/security/lib.sh"

dot2hsm=$bin/dot2hsm

# sync_lab OPTION...: lab init with these, the RA on a port of its own, and lab run.
# A test that must not reach certDLTime needs a second that no request takes.
sync_lab() {
    "$dot2hsm" lab init "$@" "$work/lab" >/dev/null
    lab=$work/lab
    sed -i "s/^port *=.*/port = 0/; /^url-base/d; /^certificate-delay/d; /^max-requests/d" "$lab/ra.conf"
    cat >>"$lab/ra.conf" <<END
port-file = $work/ra.port
certificate-delay = ${CERTIFICATE_DELAY:-2}
max-requests = 0
END
    ra_start
    sed -i "s/^\(ra-url = .*\):[0-9]*\$/\1:$port/" "$lab"/*.conf
}

# token_apart CONF: the token of this configuration is in another process from here on, as a HSM is:
# what is killed while SoftHSM writes takes the token with it.
token_apart() {
    export SHIM_SOCKET=$work/shim.sock
    setsid "$tools/p11shimd" "$SHIM_SOCKET" "$softhsm" >"$work/shimd.log" 2>&1 &
    for _ in $(seq 100); do
        [ -S "$SHIM_SOCKET" ] && break
        sleep 0.05
    done
    sed -i "s#^pkcs11-module.*#pkcs11-module = $tools/p11shim.so#" "$1"
}

# cas_start OPTION...: the enrollment CA and the pseudonym CA of the lab.
cas_start() {
    setsid "$dot2hsm" lab run --interval 50 "$@" "$lab" >>"$work/cas.log" 2>&1 &
    cas=$!
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
