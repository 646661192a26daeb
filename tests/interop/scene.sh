# scene.sh: sourced by the scripts here: the token of tests/provider/lab.sh with a CA, a server and a
# client in it, each a key file (NAME.key), a URI and a certificate (NAME.crt).
. "$(dirname "$0")/../provider/lab.sh"
export OPENSSL_CONF="$lab/openssl.cnf"

uri() { printf 'pkcs11:token=lab;object=%s' "$1"; }

# certificate NAME CURVE EXTENSION...: a key in the token and a certificate of the CA's.
certificate() {
    local name=$1 curve=$2
    shift 2
    openssl genpkey -algorithm EC -propquery '?provider=dot2hsm' -pkeyopt "group:$curve" \
        -pkeyopt "pkcs11_uri:$(uri "$name")" -out "$lab/$name.key"
    ! grep -q "PRIVATE KEY" "$lab/$name.key" || die "the key of $name left the token"
    printf '%s\n' "$@" >"$lab/$name.ext"
    openssl req -new -key "$lab/$name.key" -subj "/CN=$name" -out "$lab/$name.csr"
    openssl x509 -req -in "$lab/$name.csr" -CA "$lab/ca.crt" -CAkey "$(uri ca)" -days 2 \
        -extfile "$lab/$name.ext" -out "$lab/$name.crt" 2>/dev/null ||
        die "the certificate of $name"
}

scene() {
    openssl genpkey -algorithm EC -propquery '?provider=dot2hsm' -pkeyopt group:P-384 \
        -pkeyopt "pkcs11_uri:$(uri ca)" -out "$lab/ca.key"
    openssl req -x509 -new -key "$lab/ca.key" -subj "/CN=interop CA" -days 2 -out "$lab/ca.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign
    certificate server P-256 "subjectAltName=DNS:localhost" "extendedKeyUsage=serverAuth"
    certificate client P-256 "extendedKeyUsage=clientAuth"
}

# until_ready COMMAND...: tries it for ten seconds.
until_ready() {
    for _ in $(seq 100); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    return 1
}
