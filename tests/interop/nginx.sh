# nginx.sh: nginx serves TLS with a key file that names a key in the token, its workers fork off with
# it, and curl and s_client authenticate with a client key in the token.
. "$(dirname "$0")/scene.sh"
scene

cat >"$lab/nginx.conf" <<CONF
worker_processes 3;
pid $lab/nginx.pid;
error_log $lab/error.log notice;
env OPENSSL_CONF;
env SOFTHSM2_CONF;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $lab/t1;
    proxy_temp_path $lab/t2;
    fastcgi_temp_path $lab/t3;
    uwsgi_temp_path $lab/t4;
    scgi_temp_path $lab/t5;
    server {
        listen unix:$lab/socket ssl;
        ssl_certificate $lab/server.crt;
        ssl_certificate_key $lab/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets off;
        ssl_client_certificate $lab/ca.crt;
        ssl_verify_client optional;
        location / {
            add_header X-Worker \$pid always;
            return 200 "\$ssl_client_verify \$ssl_client_s_dn\n";
        }
    }
}
CONF
get() { curl -sS --max-time 20 --unix-socket "$lab/socket" --cacert "$lab/ca.crt" "$@" https://localhost/; }
start() {
    nginx -p "$lab" -e "$lab/error.log" -c "$lab/nginx.conf" -g 'daemon off;' >"$lab/log" 2>&1 &
    background=$!
    until_ready get || die "nginx does not serve: $(cat "$lab/log" "$lab/error.log")"
}
nginx -p "$lab" -e "$lab/error.log" -c "$lab/nginx.conf" -t 2>"$lab/log" || die "$(cat "$lab/log")"

step "every worker signs, TLS 1.2 and 1.3"
start
workers=
for i in $(seq 60); do
    get --tlsv1.2 --tls-max "1.$((2 + i % 2))" -o /dev/null -D "$lab/head"
    worker=$(sed -n 's/^X-Worker: *\([0-9]*\).*/\1/p' "$lab/head")
    [ -n "$worker" ] || die "no worker in the answer: $(cat "$lab/head")"
    case " $workers " in *" $worker "*) ;; *) workers="$workers $worker" ;; esac
    [ "$(echo "$workers" | wc -w)" -lt 3 ] || [ "$i" -lt 6 ] || break
done
[ "$(echo "$workers" | wc -w)" -gt 1 ] || die "one worker only: $workers"

step "sixteen clients at once"
seq 48 | xargs -P 16 -I{} curl -sS --max-time 30 --unix-socket "$lab/socket" \
    --cacert "$lab/ca.crt" -o /dev/null https://localhost/ || die "a client was not served"

step "curl with a client key in the token"
[ "$(get)" = "NONE " ] || die "without a client key: $(get)"
[ "$(get --cert "$lab/client.crt" --key "$lab/client.key")" = "SUCCESS CN=client" ] ||
    die "curl: $(get --cert "$lab/client.crt" --key "$lab/client.key" 2>&1)"
if get --cert "$lab/client.crt" --key "$lab/server.key" >/dev/null 2>&1; then
    die "curl took a key that is not the certificate's"
fi

step "s_client with a client key in the token, by URI"
for version in tls1_2 tls1_3; do
    { printf 'GET / HTTP/1.0\r\n\r\n' && sleep 1; } |
        openssl s_client -unix "$lab/socket" -$version -quiet -CAfile "$lab/ca.crt" \
            -verify_return_error -cert "$lab/client.crt" -key "$(uri client)" \
            >"$lab/out" 2>"$lab/err" || true
    grep -q "^SUCCESS CN=client" "$lab/out" || die "s_client $version: $(cat "$lab/out" "$lab/err")"
done

step "reload: new workers, the same key"
kill -HUP "$background"
renewed() {
    get -o /dev/null -D "$lab/head" || return 1
    worker=$(sed -n 's/^X-Worker: *\([0-9]*\).*/\1/p' "$lab/head")
    case " $workers " in *" $worker "*) return 1 ;; esac
}
until_ready renewed || die "no new worker: $(cat "$lab/error.log")"

step "it ends as it should"
kill -QUIT "$background"
wait "$background" || die "nginx ended with $?"
background=
! grep -Ei 'signal 11|exited on signal|\[(alert|crit|emerg)\]' "$lab/error.log" ||
    die "in the error log"

if [ "$(id -u)" -eq 0 ] && id www-data >/dev/null 2>&1; then
    step "workers of another user, as Debian's are: it may read the token, and not the PIN"
    sed -i 's/^user root;/user www-data;/' "$lab/nginx.conf"
    chmod 711 "$lab"
    chgrp -R www-data "$lab/tokens"
    chmod -R g+rwX "$lab/tokens"
    start
    for _ in $(seq 12); do
        get -o /dev/null -D "$lab/head" || die "a worker of www-data does not sign: $(cat "$lab/error.log")"
    done
    worker=$(sed -n 's/^X-Worker: *\([0-9]*\).*/\1/p' "$lab/head")
    [ "$(ps -o user= -p "$worker")" = www-data ] || die "the worker is not www-data's"
    ! su -s /bin/sh www-data -c "cat $lab/pin" 2>/dev/null || die "www-data may read the PIN"
    kill -QUIT "$background"
    wait "$background" || die "nginx ended with $?"
    background=
fi

step "a key file whose key is gone is refused at the start, with the reason"
pkcs11-tool --module $module --login --pin $pin --delete-object --type privkey --label server \
    >/dev/null 2>&1
refused "no key stands behind the URI" \
    nginx -p "$lab" -e "$lab/error.log" -c "$lab/nginx.conf" -t
echo "all steps passed"
