#!/usr/bin/env bash
# dot2hsm-ra as a program: its configuration, its exit codes, its signals, its files.
. "$SOURCE_DIR/tests/security/lib.sh"

program=$bin/dot2hsm-ra
"$bin/dot2hsm" lab init "$work/lab" >/dev/null
config=$work/ra.conf
{
    sed 's/^port = .*/port = 0/' "$work/lab/ra.conf"
    echo "port-file = $work/ra.port"
    echo "pid-file = $work/ra.pid"
} >"$config"

# says FILE TEXT
says() {
    grep -qF -- "$2" "$1" || {
        cat "$1" >&2
        fail "\"$2\" is not in $1"
    }
}

# logged TEXT: within five seconds.
logged() {
    for _ in $(seq 100); do
        grep -qF -- "$1" "$work/ra.log" && return
        sleep 0.05
    done
    fail "\"$1\" is not in the log"
}

# with KEY VALUE: the configuration with another value, in $work/other.conf.
with() {
    {
        grep -v "^$1 = " "$config"
        echo "$1 = $2"
    } >"$work/other.conf"
}

# get: the status of a request for the certificate chain file; 000 if there is no connection.
get() {
    curl -s -o "$work/body" -w '%{http_code}' --cacert "$work/lab/trust/x509-root.pem" \
        --resolve "localhost:$port:127.0.0.1" \
        "https://localhost:$port/download/local-certificate-chain" || true
}

expect 0 "$program" --help
says "$work/out" "Usage: dot2hsm-ra"
expect 0 "$program" --version
expect 2 "$program"
expect 2 "$program" a b
expect 2 "$program" --unknown "$config"
expect 2 "$program" "$work/none.conf"
expect 0 "$program" --check "$config"
says "$work/out" ok

# Every mistake is named by its key.
while IFS='|' read -r key value text; do
    with "$key" "$value"
    expect 2 "$program" --check "$work/other.conf"
    says "$work/err" "$text"
done <<EOT
prot|1|unknown key "prot"
port|65536|port is "65536"
port|x|port is "x"
tolerance|-1|tolerance is "-1"
threads|0|threads is "0"
stage|TEST|stage is "TEST"
on-auth-failure|ignore|on-auth-failure is "ignore"
anchors|$work/nothing.oer|nothing.oer
anchors|$work/lab/ra/tls.pem|tls.pem
anchors|$work|there is no certificate
certificates|$work/lab/trust/x509-root.pem|x509-root.pem
tls-certificate|$work/nothing.pem|nothing.pem
tls-certificate|$work/lab/trust/x509-root.pem|the TLS key is not that
store|mongodb:x|mongodb:
ocsp-file|$work/nothing.ocsp|nothing.ocsp cannot be read
ocsp-file|$work/lab/ra/tls.pem|is not an OCSP response in DER
store|$work|not a regular file
EOT
for key in tls-certificate tls-key anchors store download-dir; do
    grep -v "^$key = " "$config" >"$work/other.conf"
    expect 2 "$program" --check "$work/other.conf"
    says "$work/err" "$key is missing"
done
with download-dir "$work/nowhere"
for check in --check ""; do
    # shellcheck disable=SC2086
    expect 3 "$program" $check "$work/other.conf"
    says "$work/err" nowhere
done

# What cannot be reached.
with store "$work/no/such/directory/store.sqlite"
expect 3 "$program" --check "$work/other.conf"
says "$work/err" store.sqlite

# It runs, and says which key it uses.
ra_start "$config"
[ "$(cat "$work/ra.pid")" = "$ra" ] || fail "the process file"
says "$work/ra.log" "event=started port=$port tls_key=\"$(sed -n 's/^tls-key = "\(.*\)"/\1/p' "$config")\""
[ "$(get)" = 200 ] || fail "no answer"
grep -q '^Max core file size *0 *0 ' "/proc/$ra/limits" || fail "core files are on"

# A second one on the same port does not start.
with port "$port"
sed -i '/-file = .*ra\.p/d' "$work/other.conf"
expect 3 "$program" "$work/other.conf"
says "$work/err" "in use"

# A reload with a mistake leaves all as it was, and says so.
cp "$config" "$work/good.conf"
with anchors "$work/nothing.oer"
cp "$work/other.conf" "$config"
kill -HUP "$ra"
logged event=not_reloaded
[ "$(get)" = 200 ] || fail "no answer after a reload with a mistake"

# A good one takes the new X.509 certificate and the new file.
cp "$work/lab/ra/local_certificate_chains_01_01.oer" "$work/local_certificate_chains_01_02.oer"
cp "$work/good.conf" "$config"
with chain-file "$work/local_certificate_chains_01_02.oer"
cp "$work/other.conf" "$config"
kill -HUP "$ra"
logged "event=reloaded"
curl -s -D "$work/headers" -o "$work/body" --cacert "$work/lab/trust/x509-root.pem" \
    --resolve "localhost:$port:127.0.0.1" \
    "https://localhost:$port/download/local-certificate-chain"
says "$work/headers" 'ETag: "local_certificate_chains_01_02.oer"'

# The end: 0, and the files that said that it runs are gone.
kill -TERM "$ra"
status=0
wait "$ra" || status=$?
[ "$status" = 0 ] || fail "ended with $status"
says "$work/ra.log" event=stopped
[ ! -e "$work/ra.port" ] && [ ! -e "$work/ra.pid" ] || fail "files are left"
[ "$(get)" = 000 ] || fail "still there"

# A log file, opened anew after it was moved away.
cp "$work/good.conf" "$config"
with log "$work/events"
ra_start "$work/other.conf"
mv "$work/events" "$work/events.1"
kill -HUP "$ra"
for _ in $(seq 100); do
    grep -q event=reloaded "$work/events" 2>/dev/null && break
    sleep 0.05
done
says "$work/events" event=reloaded
says "$work/events.1" event=started
kill -INT "$ra"
wait "$ra" || fail "ended with $?"

# The example is a configuration that is understood.
# Its user comes with a package, not with this machine.
sed -e 's/^# \([a-z-]* = \)/\1/' -e '/^user = /d' "$SOURCE_DIR/apps/ra/ra.conf.example" \
    >"$work/example.conf"
expect 3 "$program" --check "$work/example.conf" # there is no such PIN file
if grep -q "unknown key\|is missing\|is \"" "$work/err"; then
    fail "the example has a mistake"
fi
for key in $(grep -o '{"ra", "[a-z-]*"}' "$SOURCE_DIR/apps/ra/config.c" | cut -d'"' -f4); do
    grep -qE "^#? ?$key = " "$SOURCE_DIR/apps/ra/ra.conf.example" || fail "$key: not in the example"
    grep -qE "(Ic|,) $key( |\$)" "$SOURCE_DIR/docs/man/dot2hsm-ra.8" ||
        fail "$key: not in the manual page"
done
echo "dot2hsm-ra: all as it says"
