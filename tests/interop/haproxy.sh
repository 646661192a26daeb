# haproxy.sh: haproxy serves TLS, with the certificate and the key file in one PEM file, and in two.
. "$(dirname "$0")/scene.sh"
scene

mkdir "$lab/one" "$lab/two"
cat "$lab/server.crt" "$lab/server.key" >"$lab/one/server.pem" # certificate first
cp "$lab/server.crt" "$lab/two/server.pem"
cp "$lab/server.key" "$lab/two/server.pem.key"
cat >"$lab/haproxy.cfg" <<CONF
global
    nbthread 2
    log stderr local0
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend one
    bind unix@$lab/one/socket ssl crt $lab/one/server.pem no-tls-tickets \
        ca-file $lab/ca.crt verify optional
    http-request return status 200 content-type text/plain lf-string "%[ssl_c_verify] %[ssl_c_s_dn(CN)]."
frontend two
    bind unix@$lab/two/socket ssl crt $lab/two/server.pem no-tls-tickets
    http-request return status 200 content-type text/plain string two
CONF
haproxy -c -f "$lab/haproxy.cfg" >"$lab/log" 2>&1 || die "$(cat "$lab/log")"
get() {
    local which=$1
    shift
    curl -sS --max-time 20 --unix-socket "$lab/$which/socket" --cacert "$lab/ca.crt" "$@" \
        https://localhost/
}

# -W: a master that forks its worker after the keys are open. -db would stay in one process.
for mode in -db -W; do
    step "haproxy $mode"
    haproxy $mode -f "$lab/haproxy.cfg" >"$lab/log" 2>&1 &
    background=$!
    until_ready get one || die "haproxy does not serve: $(cat "$lab/log")"
    for max in 1.2 1.3; do
        [ "$(get one --tls-max $max)" = '0 .' ] || die "one: $(get one --tls-max $max 2>&1)"
        [ "$(get two --tls-max $max)" = two ] || die "two: $(get two --tls-max $max 2>&1)"
        [ "$(get one --tls-max $max --cert "$lab/client.crt" --key "$lab/client.key")" = \
            '0 client.' ] || die "with a client key in the token"
    done
    seq 32 | xargs -P 16 -I{} curl -sS --max-time 30 --unix-socket "$lab/one/socket" \
        --cacert "$lab/ca.crt" -o /dev/null https://localhost/ || die "a client was not served"
    kill -TERM "$background"
    status=0
    wait "$background" || status=$?
    [ $status -eq 0 ] || [ $status -eq 143 ] || die "haproxy ended with $status: $(cat "$lab/log")"
    background=
done
echo "all steps passed"
