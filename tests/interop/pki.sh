# pki.sh: the openssl program as a CA, as a signer of messages and as a time stamper, all with keys
# in the token. What it makes is verified without the provider.
. "$(dirname "$0")/scene.sh"
scene
printf 'the text of a message\n' >"$lab/text"

step "ca: certificates, a revocation, a CRL"
mkdir "$lab/new"
: >"$lab/index"
echo 01 >"$lab/serial"
echo 01 >"$lab/crlnumber"
cat "$lab/openssl.cnf" - >"$lab/ca.cnf" <<CONF
[ca]
default_ca = ca_default
[ca_default]
new_certs_dir = $lab/new
database = $lab/index
serial = $lab/serial
crlnumber = $lab/crlnumber
certificate = $lab/ca.crt
private_key = $lab/ca.key
default_md = sha256
default_days = 1
default_crl_days = 1
policy = policy
unique_subject = no
[policy]
commonName = supplied
CONF
for md in sha256 sha384 sha512; do
    for key in "$lab/ca.key" "$(uri ca)"; do
        openssl ca -config "$lab/ca.cnf" -batch -notext -md $md -keyfile "$key" \
            -in "$lab/client.csr" -out "$lab/issued.crt" 2>"$lab/err" || die "$(cat "$lab/err")"
        plain verify -CAfile "$lab/ca.crt" "$lab/issued.crt" >/dev/null ||
            die "what the CA signed with $md does not verify"
        plain x509 -in "$lab/issued.crt" -noout -text | grep -q "ecdsa-with-SHA${md#sha}" ||
            die "another algorithm than $md"
    done
done
openssl ca -config "$lab/ca.cnf" -revoke "$lab/issued.crt" 2>"$lab/err" || die "$(cat "$lab/err")"
openssl ca -config "$lab/ca.cnf" -gencrl -out "$lab/crl" 2>"$lab/err" || die "$(cat "$lab/err")"
plain crl -in "$lab/crl" -CAfile "$lab/ca.crt" -noout 2>&1 | grep -q "verify OK" || die "the CRL"
refused "revoked" plain verify -crl_check -CAfile "$lab/ca.crt" -CRLfile "$lab/crl" \
    "$lab/issued.crt"

step "cms: signed, detached or not, and verified"
certificate signer brainpoolP256r1 "keyUsage=digitalSignature" "extendedKeyUsage=emailProtection"
for md in sha256 sha384 sha512; do
    for key in "$lab/signer.key" "$(uri signer)"; do
        openssl cms -sign -md $md -signer "$lab/signer.crt" -inkey "$key" -in "$lab/text" \
            -binary -nodetach -outform DER -out "$lab/cms" 2>"$lab/err" || die "$(cat "$lab/err")"
        for verifier in plain openssl; do
            $verifier cms -verify -CAfile "$lab/ca.crt" -inform DER -in "$lab/cms" -binary \
                -out "$lab/out" 2>"$lab/err" || die "$verifier: $(cat "$lab/err")"
            cmp "$lab/out" "$lab/text"
        done
    done
done
openssl cms -sign -signer "$lab/signer.crt" -inkey "$(uri signer)" -in "$lab/text" -binary \
    -outform DER -out "$lab/cms"
sed 's/text/test/' "$lab/text" >"$lab/other"
refused "verification fail" plain cms -verify -CAfile "$lab/ca.crt" -inform DER -in "$lab/cms" \
    -content "$lab/other" -binary
openssl smime -sign -signer "$lab/signer.crt" -inkey "$(uri signer)" -in "$lab/text" -out "$lab/smime"
plain smime -verify -CAfile "$lab/ca.crt" -in "$lab/smime" >/dev/null 2>&1 || die "smime"

step "cms: encrypted to a key in the token, by ECDH and the KDF of X9.63"
openssl genpkey -algorithm EC -propquery '?provider=dot2hsm' -pkeyopt group:P-256 \
    -pkeyopt "pkcs11_uri:$(uri reader)" -pkeyopt pkcs11_usage:derive -out "$lab/reader.key"
openssl x509 -new -force_pubkey "$lab/reader.key" -subj /CN=reader -CA "$lab/ca.crt" \
    -CAkey "$(uri ca)" -days 1 -out "$lab/reader.crt" 2>"$lab/err" || die "$(cat "$lab/err")"
for md in sha1 sha256 sha384; do
    plain cms -encrypt -aes256 -in "$lab/text" -binary -outform DER -out "$lab/cms" \
        -recip "$lab/reader.crt" -keyopt ecdh_kdf_md:$md
    openssl cms -decrypt -inform DER -in "$lab/cms" -inkey "$lab/reader.key" \
        -recip "$lab/reader.crt" -out "$lab/out" 2>"$lab/err" || die "$(cat "$lab/err")"
    cmp "$lab/out" "$lab/text"
done
refused "may not sign" openssl dgst -sha256 -sign "$lab/reader.key" "$lab/text"

step "ts: a time stamp"
certificate stamper P-384 "extendedKeyUsage=critical,timeStamping"
cat "$lab/openssl.cnf" - >"$lab/ts.cnf" <<CONF
[tsa]
default_tsa = tsa_default
[tsa_default]
serial = $lab/tsserial
crypto_device = builtin
signer_cert = $lab/stamper.crt
certs = $lab/ca.crt
signer_key = $lab/stamper.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384
ess_cert_id_alg = sha256
CONF
openssl ts -query -data "$lab/text" -sha256 -cert -out "$lab/tsq" 2>"$lab/err" || die "$(cat "$lab/err")"
openssl ts -reply -config "$lab/ts.cnf" -queryfile "$lab/tsq" -out "$lab/tsr" 2>"$lab/err" ||
    die "ts: $(cat "$lab/err")"
plain ts -verify -data "$lab/text" -in "$lab/tsr" -CAfile "$lab/ca.crt" >"$lab/out" 2>&1 ||
    die "ts: $(cat "$lab/out")"
refused "mismatch" plain ts -verify -data "$lab/other" -in "$lab/tsr" -CAfile "$lab/ca.crt"

step "x509, req, crl: what else a CA's operator types"
openssl x509 -new -force_pubkey "$lab/client.key" -subj /CN=new -CA "$lab/ca.crt" \
    -CAkey "$(uri ca)" -days 1 -out "$lab/forced.crt" 2>"$lab/err" || die "$(cat "$lab/err")"
plain verify -CAfile "$lab/ca.crt" "$lab/forced.crt" >/dev/null
plain req -in "$lab/client.csr" -verify -noout 2>&1 | grep -qi "verif.* OK" || die "the request"

step "pkeyutl on data and on digests"
for md in sha224 sha256 sha384 sha512; do
    openssl pkeyutl -sign -rawin -digest $md -inkey "$lab/signer.key" -in "$lab/text" \
        -out "$lab/signature"
    plain dgst -$md -verify <(plain x509 -in "$lab/signer.crt" -noout -pubkey) \
        -signature "$lab/signature" "$lab/text" >/dev/null || die "pkeyutl with $md"
    openssl dgst -$md -binary -out "$lab/digest" "$lab/text"
    openssl pkeyutl -sign -inkey "$lab/signer.key" -in "$lab/digest" -pkeyopt digest:$md \
        -out "$lab/signature"
    plain pkeyutl -verify -certin -inkey "$lab/signer.crt" -in "$lab/digest" \
        -sigfile "$lab/signature" >/dev/null || die "pkeyutl on a digest of $md"
done
refused "wrong size" openssl pkeyutl -sign -inkey "$lab/signer.key" -in "$lab/text"
echo "all steps passed"
