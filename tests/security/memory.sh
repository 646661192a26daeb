#!/usr/bin/env bash
# With the tokens in another process, the value of a private key is in that process alone: the
# demonstration runs with keys whose value is known, and the memory of RSE and RA is searched.
. "$SOURCE_DIR/tests/security/lib.sh"

# Figures: RFC 6979 A.2.5 (enrollment) and SEC/NIST ECDH vector (TLS); any value would do.
export ENROLLMENT_D=c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721
export TLS_D=7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534

cat >"$work/prepare" <<'HOOK'
#!/usr/bin/env bash
set -euo pipefail
put() { # TOKEN LABEL VALUE
    "$BUILD_DIR/tests/putkey" "$DEMO_MODULE" "$1" "$(cat "$DEMO_DIR/$1.pin")" "$2" \
        "${3:0:8}" "$3"
}
put ra ra-tls "$TLS_D"
put rse enrollment "$ENROLLMENT_D"
HOOK
# While the RA runs: an RSE that downloads slowly, searched again and again, and handshakes that
# make the RA's token sign.
cat >"$work/running" <<'HOOK'
#!/usr/bin/env bash
set -euo pipefail
scan() { # PROCESS VALUE: number of places
    local line status=0
    line=$("$BUILD_DIR/tests/memscan" "$1" "$2") || status=$?
    [ "$status" -ne 2 ] || return 1
    echo "${line%% *}"
}
file=$(basename "$DEMO_DIR"/lab/ra/download/????????????????.zip)
rm -rf "$DEMO_DIR/scan"
mkdir "$DEMO_DIR/scan"
searched=0
for round in 1 2 3; do
    "$BUILD_DIR/bin/dot2hsm" ee download --config "$DEMO_DIR/lab/rse.conf" --restart \
        --limit-rate 2000000 --out "$DEMO_DIR/scan/$round" "$file" >/dev/null 2>&1 &
    rse=$!
    while kill -0 "$rse" 2>/dev/null; do
        for value in "$ENROLLMENT_D" "$TLS_D"; do
            kill -0 "$rse" 2>/dev/null || break 2
            places=$(scan "$rse" "$value" || echo gone)
            [ "$places" = gone ] && break 2
            [ "$places" -eq 0 ] || { echo "the RSE holds a private key" >&2; exit 1; }
            places=$(scan "$DEMO_RA" "$value")
            [ "$places" -eq 0 ] || { echo "the RA holds a private key" >&2; exit 1; }
            searched=$((searched + 1))
        done
    done
    wait "$rse"
done
[ "$searched" -ge 6 ] || { echo "only $searched searches" >&2; exit 1; }
echo "   searched the memory of RSE and RA $searched times: no private key"

# The search is known to work: it finds the TLS key in the token's process, at a moment when that
# process is signing.
found=
openssl s_time -connect "127.0.0.1:$DEMO_PORT" -new -time 120 >/dev/null 2>&1 &
load=$!
until=$((SECONDS + 110)) # of which a machine with nothing else to do needs a second
while [ $SECONDS -lt $until ]; do
    for remote in $(pgrep -f 'p11-kit.*remote' || true); do
        grep -qz "^SOFTHSM2_CONF=$DEMO_DIR/" "/proc/$remote/environ" 2>/dev/null || continue
        kill -STOP "$remote" 2>/dev/null || continue
        if "$BUILD_DIR/tests/memscan" "$remote" "$TLS_D" >"$DEMO_DIR/found" 2>/dev/null; then
            found=$remote
        fi
        kill -CONT "$remote" 2>/dev/null || true
        [ -z "$found" ] || break 2
    done
    sleep 0.01
done
kill "$load" 2>/dev/null || true
wait "$load" 2>/dev/null || true
[ -n "$found" ] || { echo "the search did not find the key where it is" >&2; exit 1; }
echo "   the same search finds the TLS key in the token's process $found: $(cat "$DEMO_DIR/found")"
HOOK
chmod +x "$work/prepare" "$work/running"
HOOK_PREPARE=$work/prepare HOOK_RUNNING=$work/running DEMO_LAB_OPTIONS=--reuse-keys \
    "$SOURCE_DIR/demo.sh" --no-build --p11-kit --dir "$work/demo"
