# Sourced by the stories of an RA under load: its lab, its store, what devices were told by it.
. "$SOURCE_DIR/tests/security/lib.sh"

lab=$work/lab

# load_lab STORE: a lab, with its configuration for dot2hsm-ra in $work/base.conf; STORE is sqlite
# or postgresql.
load_lab() {
    backend=$1
    "$bin/dot2hsm" lab init "$lab" >/dev/null
    spec=sqlite:$work/store.sqlite
    if [ "$backend" = postgresql ]; then
        chmod 0711 "$work" # the server runs as somebody else
        spec=postgresql:$(bash "$SOURCE_DIR/tests/ra/postgres.sh" start "$work/pg" $$)
    fi
    {
        sed -E '/^(url-base|certificate-delay|max-requests|store|tolerance) *=/d
            s/^port *=.*/port = 0/' "$lab/ra.conf"
    } >"$work/base.conf"
    # The same body is sent again until there is an answer, and one device stands for all.
    sed -i "s|^\[ra\]|&\nstore = \"$spec\"\ntolerance = 3600\nmax-requests = 0\none-application-request = no|" \
        "$work/base.conf"
}

# load_lab_end: a server would outlive its test by half a second.
load_lab_end() {
    [ "$backend" = sqlite ] || bash "$SOURCE_DIR/tests/ra/postgres.sh" stop "$work/pg"
}

# sql QUERY: its answer, fields separated by |
sql() {
    local psql
    if [ "$backend" = sqlite ]; then
        sqlite3 "$work/store.sqlite" "$1"
    else
        psql=$(printf '%s\n' /usr/lib/postgresql/*/bin/psql | sort -V | tail -n 1)
        PGOPTIONS="-c search_path=dot2hsm" "$psql" -AtqX "${spec#postgresql:}" -c "$1"
    fi
}

# load_start PORT-FILE THREADS [away]: devices at work
load_start() {
    : >"$work/answers"
    "$tools/ra_load" "$lab" "$1" "$work/answers" "${@:2}" 2>"$work/load.log" &
    load=$!
}

acknowledged() { grep -c '^A' "$work/answers" || true; }

# more COUNT: waits until so many more requests are acknowledged
more() {
    local want
    want=$(($(acknowledged) + $1))
    for _ in $(seq 600); do
        [ "$(acknowledged)" -lt "$want" ] || return 0
        kill -0 "$load" 2>/dev/null || fail "the devices ended"
        sleep 0.05
    done
    tail -n 3 "$work/answers" >&2
    fail "the devices do not go on"
}

# load_end: the devices get their last answers; then the store has each request once that was
# acknowledged, or known when it was sent again, and no other.
load_end() {
    local hex=hex rows
    kill -TERM "$load"
    wait "$load" || fail "ra_load ended with $?"
    if grep '^X' "$work/answers" >&2; then fail "an answer that should not be"; fi
    grep '^A' "$work/answers" | sort | uniq -d | grep . >&2 && fail "acknowledged twice"
    sed 's/^. //' "$work/answers" | sort -u >"$work/told"
    [ "$(wc -l <"$work/told")" = "$(wc -l <"$work/answers")" ] || fail "a request with two answers"
    if [ "$backend" = sqlite ]; then hex="hex(hash)"; else hex="upper(encode(hash, 'hex'))"; fi
    sql "SELECT $hex FROM requests" | sort >"$work/stored"
    comm -23 "$work/told" "$work/stored" >"$work/lost"
    [ ! -s "$work/lost" ] || fail "$(wc -l <"$work/lost") requests are lost"
    comm -13 "$work/told" "$work/stored" >"$work/more"
    [ ! -s "$work/more" ] || fail "$(wc -l <"$work/more") requests nobody was told of"
    rows=$(sql "SELECT count(*), count(DISTINCT verify_key) FROM requests")
    [ "${rows%|*}" = "${rows#*|}" ] || fail "accepted twice: $rows"
    echo "$(acknowledged) acknowledged, $(grep -c '^D' "$work/answers" || true) accepted without an answer"
}
