#!/usr/bin/env bash
# Two nodes of an RA on one PostgreSQL behind haproxy, which passes TLS through: what one node has
# accepted the other knows, whom one blacklists the other refuses, and when one is killed with -9
# under load no acknowledged request is lost, none is accepted twice, and the devices go on.
. "$SOURCE_DIR/tests/ra/load_lib.sh"

load_lab postgresql
for node in a b; do
    {
        cat "$work/base.conf"
        echo "[ra]"
        echo "port-file = $work/$node.port"
        echo "log = $work/$node.log"
    } >"$work/$node.conf"
    setsid "$bin/dot2hsm-ra" "$work/$node.conf" >>"$work/$node.out" 2>&1 &
    eval "$node=$!"
done
for node in a b; do
    for _ in $(seq 200); do
        [ -s "$work/$node.port" ] && break
        sleep 0.05
    done
    [ -s "$work/$node.port" ] || fail "node $node did not start: $(cat "$work/$node.out")"
done

# haproxy gets a socket that listens already: no port is chosen before it is taken.
cat >"$work/haproxy.cfg" <<EOC
defaults
    mode tcp
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
frontend ra
    bind fd@3
    default_backend nodes
backend nodes
    balance roundrobin
    server a 127.0.0.1:$(cat "$work/a.port") check inter 200ms fall 1
    server b 127.0.0.1:$(cat "$work/b.port") check inter 200ms fall 1
EOC
setsid python3 - "$work/haproxy.cfg" "$work/haproxy.port" >"$work/haproxy.log" 2>&1 <<'EOP' &
import os, socket, sys
config, port_file = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3, inheritable=True)
with open(port_file + ".new", "w") as file:
    file.write("%d\n" % listener.getsockname()[1])
os.rename(port_file + ".new", port_file)
os.execvp("haproxy", ["haproxy", "-db", "-f", config])
EOP
export PATH=$PATH:/usr/sbin
for _ in $(seq 200); do
    [ -s "$work/haproxy.port" ] && break
    sleep 0.05
done

# at PLACE CURL-OPTION...: the status of a request to node a or b, or to haproxy; headers in
# $work/headers.PLACE.
at() {
    local place=$1 port
    shift
    port=$(cat "$work/$place.port")
    curl -s -o /dev/null -D "$work/headers.$place" -w '%{http_code}' --max-time 20 \
        --cacert "$lab/trust/x509-root.pem" --resolve "localhost:$port:127.0.0.1" "$@" || true
}
posts() { # PLACE BODY
    at "$1" -H 'Content-Type: application/octet-stream' --data-binary "@$2" \
        "https://localhost:$(cat "$work/$1.port")/provision-application-certificate"
}
code() { # PLACE CODE TEXT
    grep -q "^SCMS-POC-Error: $2" "$work/headers.$1" || fail "$3: $(cat "$work/headers.$1")"
}
body() {
    "$tools/ra_client" body app "$lab/obe/enrollment.oer" "$lab/obe/enrollment.key" "$lab/trust/ra.oer"
}

echo "- a duplicate sent to the other node"
body >"$work/body"
[ "$(posts a "$work/body")" = 200 ] || fail "node a: no ack"
for place in b a haproxy haproxy; do
    [ "$(posts $place "$work/body")" = 500 ] || fail "$place: accepted twice"
    code $place 5057 "a duplicate at $place"
done
[ "$(sql 'SELECT count(*) FROM requests')" = 1 ] || fail "not one request in the store"
for i in $(seq 5); do # sent to both at once, one has it
    body >"$work/body$i"
    posts a "$work/body$i" >"$work/answer.a" &
    other=$!
    posts b "$work/body$i" >"$work/answer.b"
    wait "$other"
    case $(cat "$work/answer.a")-$(cat "$work/answer.b") in
    200-500) code b 5057 "at once" ;;
    500-200) code a 5057 "at once" ;;
    *) fail "both at once: $(cat "$work/answer.a") and $(cat "$work/answer.b")" ;;
    esac
done

echo "- blacklisted on one node, refused by the other"
path=/download/application-certificate
name=0011223344556677.zip
"$bin/dot2hsm" ra files assign --config "$work/a.conf" "$name" "$lab/obe/enrollment.oer" >/dev/null
echo file >"$lab/ra/download/$name"
ask() { # PLACE: a download by the device
    at "$1" -H "Download-Req: $("$tools/ra_client" header "$lab/obe/enrollment.oer" \
        "$lab/obe/enrollment.key" "$lab/trust/ra.oer" "$name")" "https://localhost:$(cat "$work/$1.port")$path"
}
# What a node has known for a while, it may have kept.
for place in a b a b; do [ "$(ask $place)" = 200 ] || fail "$place does not serve"; done
for round in 1 2 3; do
    "$bin/dot2hsm" ra blacklist add --config "$work/a.conf" "$lab/obe/enrollment.oer" >/dev/null
    # The store is asked for each request: the very next one is refused, not one a second later.
    for place in b a haproxy; do
        [ "$(ask $place)" = 500 ] || fail "round $round: $place serves whom a has blacklisted"
        code $place 5055 "blacklisted"
    done
    body >"$work/blacklisted"
    [ "$(posts b "$work/blacklisted")" = 500 ] || fail "node b takes a request"
    code b 5055 "blacklisted"
    "$bin/dot2hsm" ra blacklist remove --config "$work/b.conf" "$lab/obe/enrollment.oer" >/dev/null
    for place in a b haproxy; do
        [ "$(ask $place)" = 200 ] || fail "round $round: $place refuses whom b has taken off"
    done
done

echo "- one node killed under load"
sql "DELETE FROM requests"
load_start "$work/haproxy.port" 4
more 40
for node in a b; do
    grep -q 'service=provision-application-certificate status=200' "$work/$node.log" ||
        fail "node $node has no load"
done
kill -KILL "$a"
wait "$a" 2>/dev/null && fail "node a had ended"
more 60
load_end
# The other ends as it should, and haproxy has nobody left.
kill -TERM "$b"
wait "$b" || fail "node b ended with $?"
[ "$(ask haproxy)" = 000 ] || fail "somebody answers"
load_lab_end
echo "two nodes: all as it says"
