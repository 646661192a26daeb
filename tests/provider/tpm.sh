#!/usr/bin/env bash
# Signing with a key in a TPM 2.0, as road-side units have it: swtpm in place of the chip, tpm2-abrmd
# in place of the kernel's resource manager (/dev/tpmrm0), libtpm2-pkcs11 on top.
set -eu
if [ "${1-}" != inside ]; then
    exec dbus-run-session -- bash "$0" inside # tpm2-abrmd talks over D-Bus
fi
. "$SOURCE_DIR/tests/provider/lab.sh"

mkdir "$lab/state" "$lab/store"
swtpm_setup --tpm2 --tpmstate "$lab/state" --createek --overwrite >"$lab/setup.log" 2>&1 ||
    die "swtpm_setup: $(tail -3 "$lab/setup.log")"
swtpm socket --tpm2 --tpmstate dir="$lab/state" --server type=unixio,path="$lab/tpm.sock" \
    --ctrl type=unixio,path="$lab/tpm.sock.ctrl" --flags not-need-init,startup-clear >"$lab/swtpm.log" 2>&1 &
background=$!
for _ in $(seq 100); do
    [ -S "$lab/tpm.sock" ] && break
    sleep 0.1
done
tpm2-abrmd --allow-root --session --tcti="swtpm:path=$lab/tpm.sock" >"$lab/abrmd.log" 2>&1 &
background="$background $!"
export TPM2_PKCS11_STORE="$lab/store" TPM2_PKCS11_LOG_LEVEL=0 TSS2_LOG=all+NONE
export TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2TOOLS_TCTI=tabrmd:bus_type=session
for _ in $(seq 100); do
    tpm2_getcap handles-persistent >/dev/null 2>&1 && break
    sleep 0.1
done
tpm2_ptool init >"$lab/ptool.log" 2>&1 || die "tpm2_ptool init: $(cat "$lab/ptool.log" "$lab/abrmd.log")"
tpm2_ptool addtoken --pid=1 --label=tpm --sopin=11223344 --userpin=$pin >"$lab/ptool.log" 2>&1 ||
    die "tpm2_ptool addtoken: $(cat "$lab/ptool.log")"

tpm=$(ls /usr/lib/*/libtpm2_pkcs11.so.1)
configuration "$lab/tpm.cnf" "pkcs11-module = $tpm" "pin-source = file:$lab/pin" "max-sessions = 4"
ours() { OPENSSL_CONF="$lab/tpm.cnf" openssl "$@"; }

step "a key pair made in the TPM by its own tool, and a key file for it"
tpm2_ptool addkey --label=tpm --userpin=$pin --algorithm=ecc256 --key-label=rsu --id=7273 \
    >"$lab/ptool.log" 2>&1 || die "tpm2_ptool addkey: $(cat "$lab/ptool.log")"
ours pkey -in "pkcs11:token=tpm;object=rsu" -out "$lab/key.pem"
grep -q 'PKCS#11 PROVIDER URI' "$lab/key.pem" || die "no key file"
ours pkey -in "pkcs11:token=tpm;object=rsu" -pubout -out "$lab/public.pem"

step "signatures that plain openssl verifies, by URI and by key file"
head -c 3000 /dev/urandom >"$lab/data"
for key in "pkcs11:token=tpm;object=rsu" "$lab/key.pem"; do
    for _ in 1 2 3; do
        ours dgst -sha256 -sign "$key" -out "$lab/signature" "$lab/data"
        plain dgst -sha256 -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data" >/dev/null
    done
done
printf x >>"$lab/data"
refused "failure" plain dgst -sha256 -verify "$lab/public.pem" -signature "$lab/signature" "$lab/data"

step "a certificate request"
ours req -new -key "pkcs11:token=tpm;object=rsu" -subj "/CN=rsu" -out "$lab/request.pem"
plain req -in "$lab/request.pem" -verify -noout >/dev/null 2>&1 || die "the request does not verify"

step "what it cannot do is said"
# Its module gives every key decryption and derivation, and refuses a template that does not.
refused "C_GenerateKeyPair: CKR_" ours genpkey -propquery provider=dot2hsm -algorithm EC \
    -pkeyopt group:P-256 -pkeyopt "pkcs11_uri:pkcs11:token=tpm;object=no" -out "$lab/no.pem"
printf 999999 >"$lab/wrong"
chmod 600 "$lab/wrong"
refused "CKR_PIN_INCORRECT" ours dgst -sha256 -sign \
    "pkcs11:token=tpm;object=rsu?pin-source=file:$lab/wrong" -out "$lab/no" "$lab/data"
step "done"
