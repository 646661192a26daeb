# python.sh: a Python program that knows nothing of PKCS#11: the system's OpenSSL reads the
# configuration file, and the program's key files name keys in the token.
. "$(dirname "$0")/scene.sh"
scene

cat >"$lab/program.py" <<'PYTHON'
import socket, ssl, sys, threading

lab = sys.argv[1]

def context(side, name):
    made = ssl.SSLContext(side)
    made.load_cert_chain(f"{lab}/{name}.crt", f"{lab}/{name}.key")
    made.load_verify_locations(f"{lab}/ca.crt")
    made.verify_mode = ssl.CERT_REQUIRED
    return made

def serve(pair, server, seen):
    with server.wrap_socket(pair, server_side=True) as connection:
        seen.append(dict(x[0] for x in connection.getpeercert()["subject"])["commonName"])
        connection.sendall(connection.recv(100).upper())

server = context(ssl.PROTOCOL_TLS_SERVER, "server")
client = context(ssl.PROTOCOL_TLS_CLIENT, "client")

def talk(seen):
    one, other = socket.socketpair()
    thread = threading.Thread(target=serve, args=(one, server, seen))
    thread.start()
    with client.wrap_socket(other, server_hostname="localhost") as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"HELLO"
    thread.join()

seen = []
threads = [threading.Thread(target=talk, args=(seen,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert seen == ["client"] * 8, seen

# A key that is not the certificate's, and a file that names no key: errors with words.
for key, word in ("client", "key values mismatch"), ("gone", "PEM lib"):
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"{lab}/server.crt", f"{lab}/{key}.key")
    except ssl.SSLError as error:
        assert word in str(error), error
    else:
        raise SystemExit(f"{key}.key was taken for the server's certificate")
print("done")
PYTHON
certificate gone P-256
pkcs11-tool --module $module --login --pin $pin --delete-object --type privkey --label gone \
    >/dev/null 2>&1
step "eight threads, each a server and a client with their keys in the token"
python3 "$lab/program.py" "$lab" >"$lab/out" 2>&1 || die "$(cat "$lab/out")"
grep -q '^done$' "$lab/out" || die "$(cat "$lab/out")"

step "without the configuration file the same program finds no key"
if OPENSSL_CONF=/dev/null python3 "$lab/program.py" "$lab" >"$lab/out" 2>&1; then
    die "the keys did not come through the provider"
fi
echo "all steps passed"
