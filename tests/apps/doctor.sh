#!/usr/bin/env bash
# dot2hsm doctor: each fault made on real parts is found, named and given a mend; a good set-up has
# none. The exit status is that of the worst.
. "$(dirname "$0")/lib.sh"
unset OPENSSL_CONF OPENSSL_MODULES SHIM_MODULE SHIM_STATE

# finds LEVEL ID TEXT: the last output has this finding, and a fault and a note have their mend.
finds() {
    python3 - "$@" <<'PYTHON' || fail "no $1 $2 with \"$3\""
import json, sys
level, name, text = sys.argv[1:]
report = json.load(open("out"))
hits = [f for f in report["findings"] if f["id"] == name and f["level"] == level and text in f["text"]]
mended = all(f.get("mend", "").endswith(".") for f in report["findings"] if f["level"] != "good")
counted = report["faults"] == sum(f["level"] == "fault" for f in report["findings"])
if not hits or not mended or not counted:
    print(json.dumps(report, indent=1), file=sys.stderr)
    sys.exit(1)
PYTHON
    checks=$((checks + 1))
}
doctor() { "$dot2hsm" doctor --json "$@"; }
# options LINE...: a file of the provider alone.
options() { printf '%s\n' '[provider]' "$@" >own.conf; }

tokens rse ra
generate rse enrollment P-256
good=("pkcs11-module = $module" "token = pkcs11:token=rse" "pin-source = file:$work/rse.pin")

# ---- a set-up without fault, as lines and as JSON ----
options "${good[@]}"
expect 0 doctor --config own.conf --login
finds good module "SoftHSM"
finds good token '"rse"'
finds good pin-source "can be read"
finds good mechanism "CKM_ECDSA"
finds good key "cannot leave it"
finds good key-sign "signs"
expect 0 "$dot2hsm" doctor --config own.conf --login 'pkcs11:token=rse;object=enrollment'
says out "0 faults"
# Without --login nothing is tried at the token, and no key is looked at.
expect 0 "$dot2hsm" doctor --config own.conf
! grep -q key-sign out || fail "a key was used without --login"

# ---- the clock: what the kernel says is what is said ----
tai=$(python3 - <<'PYTHON'
import ctypes
buffer = ctypes.create_string_buffer(512)
ctypes.CDLL(None).adjtimex(buffer)
print(ctypes.c_int.from_buffer(buffer, 160).value)  # struct timex, tai
PYTHON
)
expect 0 doctor --config own.conf
if [ "$tai" -eq 0 ]; then
    finds note clock-tai "not set"
else
    finds good clock-tai "$tai s"
fi

# ---- module ----
options "pkcs11-module = $work/none.so"
expect 2 doctor --config own.conf
finds fault module "not there"
options "pkcs11-module = $(ldconfig -p | sed -n 's/.*libcrypto.so.3 .*=> //p' | head -n1)"
expect 2 doctor --config own.conf
finds fault module "no PKCS#11 module"
printf 'no library' >text.so
options "pkcs11-module = $work/text.so"
expect 2 doctor --config own.conf
finds fault module "text.so"
options "${good[@]}"
expect 3 env SOFTHSM2_CONF="$work/none.conf" "$dot2hsm" doctor --json --config own.conf
finds fault module "C_Initialize"
options 'login = auto'
expect 2 doctor --config own.conf 'pkcs11:token=rse'
finds fault module "no PKCS#11 module is configured"

# ---- token ----
options "pkcs11-module = $module" "token = pkcs11:token=elsewhere"
expect 3 doctor --config own.conf
finds fault token "no token matches"
options "pkcs11-module = $module"
expect 2 doctor --config own.conf
finds fault token-ambiguous "2 tokens match pkcs11:"
slot=$(softhsm2-util --show-slots | grep '^Slot ' | tail -n1 | cut -d' ' -f2)
expect 3 doctor --config own.conf "pkcs11:slot-id=$slot"
finds fault token-not-initialised "not initialised"
expect 2 doctor --config own.conf 'pkcs11:tokn=rse'
finds fault uri "tokn"
expect 2 "$dot2hsm" doctor --config own.conf file:key.pem

# ---- PIN source ----
pin_source() { options "pkcs11-module = $module" "token = pkcs11:token=rse" "pin-source = $1"; }
pin_source "file:$work/none.pin"
expect 2 doctor --config own.conf
finds fault pin-source "No such file"
cp rse.pin open.pin
chmod 0644 open.pin
pin_source "file:$work/open.pin"
expect 2 doctor --config own.conf
finds fault pin-source "0644"
says out "chmod 0600"
if [ "$(id -u)" -eq 0 ]; then
    cp rse.pin other.pin
    chown 65534 other.pin
    pin_source "file:$work/other.pin"
    expect 2 doctor --config own.conf
    finds fault pin-source "another user"
fi
pin_source env:DOCTOR_PIN
expect 2 doctor --config own.conf
finds fault pin-source "DOCTOR_PIN is not set"
expect 0 env DOCTOR_PIN=pin-of-rse "$dot2hsm" doctor --json --config own.conf --login
finds good key-sign "signs"
! grep -q pin-of-rse out || fail "the PIN is in the output"
pin_source credential:pin
expect 2 doctor --config own.conf
finds fault pin-source "CREDENTIALS_DIRECTORY"
options "pkcs11-module = $module" "token = pkcs11:token=rse"
expect 0 doctor --config own.conf
finds note pin-source "no source"
pin_source "|cat pin"
expect 2 doctor --config own.conf
finds fault option "pin-source"

# ---- PIN: one try, and only with --login ----
export SHIM_MODULE=$module SHIM_STATE=$work/shim.state
shimctl=$BUILD_DIR/tests/shimctl
"$shimctl" shim.state create
printf 'pigeon-4711' >wrong.pin
options "pkcs11-module = $BUILD_DIR/tests/p11shim.so" "token = pkcs11:token=rse" \
    "pin-source = file:$work/wrong.pin"
expect 0 doctor --config own.conf 'pkcs11:token=rse;object=enrollment' 'pkcs11:token=rse'
[ "$("$shimctl" shim.state count C_Login)" -eq 0 ] || fail "a login without --login"
expect 1 doctor --config own.conf --login 'pkcs11:token=rse;object=enrollment' 'pkcs11:token=rse'
finds fault pin "CKR_PIN_INCORRECT"
! grep -q pigeon out || fail "the PIN is in the output"
[ "$("$shimctl" shim.state count C_Login)" -eq 1 ] || fail "the wrong PIN was tried again"
expect 0 doctor --config own.conf
finds note pin-count-low "wrong PINs"
"$shimctl" shim.state fail C_Login 0xa4 1
expect 1 doctor --config own.conf --login
finds fault pin "CKR_PIN_LOCKED"

# ---- PIN: what the token's flags say of it; where they warn, there is no login at all ----
options "pkcs11-module = $BUILD_DIR/tests/p11shim.so" "token = pkcs11:token=rse" \
    "pin-source = file:$work/rse.pin"
flags() { # SET CLEAR ID TEXT
    "$shimctl" shim.state flags "$1" "$2"
    "$shimctl" shim.state reset
    expect 1 doctor --config own.conf --login
    finds fault "$3" "$4"
    finds note login "no login is tried"
    [ "$("$shimctl" shim.state count C_Login)" -eq 0 ] || fail "a login in spite of $3"
}
flags 0x40000 0 pin-locked "is locked"        # CKF_USER_PIN_LOCKED
flags 0x20000 0 pin-final-try "one more wrong" # CKF_USER_PIN_FINAL_TRY
flags 0 0x8 pin-not-set "no user PIN yet"     # CKF_USER_PIN_INITIALIZED
"$shimctl" shim.state flags 0 0
"$shimctl" shim.state reset
expect 0 doctor --config own.conf --login
finds good key-sign "signs"
[ "$("$shimctl" shim.state count C_Login)" -gt 0 ] || fail "no login with --login"
unset SHIM_MODULE SHIM_STATE

# ---- mechanisms ----
options "${good[@]}"
cp softhsm2.conf all.conf
echo 'slots.mechanisms = CKM_EC_KEY_PAIR_GEN' >>softhsm2.conf
expect 1 doctor --config own.conf
finds fault mechanism "does not offer CKM_ECDSA"
finds note mechanism "CKM_ECDH1_DERIVE"
cp all.conf softhsm2.conf

# ---- keys ----
expect 1 doctor --config own.conf --login 'pkcs11:token=rse;object=nobody'
finds fault key "no private key matches"
pkcs11-tool --module "$module" --token-label rse --login --pin pin-of-rse --keypairgen \
    --key-type EC:prime256v1 --label open --id 77 --extractable >/dev/null 2>&1
expect 1 doctor --config own.conf --login 'pkcs11:token=rse;object=open'
finds fault key-extractable "CKA_EXTRACTABLE true"
openssl genpkey -algorithm EC -pkeyopt group:P-256 -out soft.pem
openssl pkey -in soft.pem -pubout -outform DER -out soft.pub
openssl genpkey -algorithm EC -pkeyopt group:P-256 | openssl pkey -pubout -outform DER -out other.pub
openssl pkcs8 -topk8 -nocrypt -in soft.pem -outform DER -out soft.der
put() {
    pkcs11-tool --module "$module" --token-label rse --login --pin pin-of-rse --write-object "$1" \
        --type "$2" --label "$3" --id "$4" --usage-sign --sensitive >/dev/null 2>&1
}
put soft.der privkey imported 78
put soft.pub pubkey imported 78
expect 0 doctor --config own.conf --login 'pkcs11:token=rse;object=imported'
finds note key-imported "CKA_LOCAL false"
finds good key-sign "signs"
put soft.der privkey wrong 79
put other.pub pubkey wrong 79
expect 1 doctor --config own.conf --login 'pkcs11:token=rse;object=wrong'
finds fault key-public "does not verify"
pkcs11-tool --module "$module" --token-label rse --login --pin pin-of-rse --keypairgen \
    --key-type EC:secp521r1 --label large --id 7b --usage-sign >/dev/null 2>&1
expect 0 doctor --config own.conf --login 'pkcs11:token=rse;object=large'
finds note key-type "not on a curve"
put soft.der privkey alone 7a
expect 1 doctor --config own.conf --login 'pkcs11:token=rse;object=alone'
finds fault key-public "no public key"

# ---- openssl.cnf ----
cnf() {
    sed "$1" >openssl.cnf <<CONF
openssl_conf = init
[init]
providers = list
[list]
default = default_section
dot2hsm = ours
[default_section]
activate = 1
[ours]
module = $BUILD_DIR/lib/dot2hsm.so
pkcs11-module = $module
token = pkcs11:token=rse
pin-source = file:$work/rse.pin
activate = 1
CONF
    doctor --openssl openssl.cnf --login
}
expect 1 cnf ''
finds good provider-module "dot2hsm.so"
finds fault key-extractable "open"
expect 1 env OPENSSL_CONF="$work/openssl.cnf" "$dot2hsm" doctor --json --login
finds good default-provider active
expect 2 cnf 's/^pin-source/pin-sorce/'
finds fault option "pin-sorce"
says out "Write pin-source instead."
expect 2 cnf '/^pin-source/s/$/\nflavour = 3/'
finds fault option "flavour"
expect 2 cnf '/^pin-source/s/$/\nkey-copy = perhaps/'
finds fault option "key-copy"
expect 2 cnf '/^default =/d'
finds fault default-provider "not active"
expect 2 cnf '/default_section.$/,/^activate/s/^activate.*//'
finds fault default-provider "not active"
expect 2 cnf '$d'
finds fault activate "not activated"
expect 2 cnf '1d'
finds fault openssl-cnf "before the first section"
expect 2 cnf 's/^providers/provider/'
finds fault openssl-cnf "providers"
expect 2 cnf '/^dot2hsm =/d'
finds fault openssl-cnf "no provider dot2hsm"
expect 2 cnf 's/ = ours/ = theirs/'
finds fault openssl-cnf "[theirs]"
expect 2 cnf "s,^module.*,module = $work/dot2hsm.so,"
finds fault provider-module "$work/dot2hsm.so"
expect 2 cnf '/^module/d'
finds fault provider-module "ossl-modules"
expect 2 cnf "s,^module.*,module = $module,"
finds fault provider-module "cannot be loaded"
expect 2 cnf 's/^activate/[activate/'
finds fault openssl-cnf "line"
expect 2 doctor --openssl none.cnf
finds fault openssl-cnf "none.cnf"
# A file of our own that the section names: its options are read, and checked, too.
printf 'pkcs11-module = %s\nmax-sesions = 3\n' "$module" >own.conf
expect 2 cnf "s,^pkcs11-module.*,config = $work/own.conf,"
finds fault option "max-sesions"
finds good module SoftHSM

# ---- a file of our own ----
printf '[provider]\nlabel = x\n' >own.conf
expect 2 doctor --config own.conf
finds fault config "label"
expect 2 doctor --config none.conf
finds fault config "none.conf"

# ---- the provider itself ----
options "${good[@]}"
mkdir empty
expect 2 env DOT2HSM_PROVIDER_PATH="$work/empty" "$dot2hsm" doctor --json --config own.conf
finds fault provider-module "dot2hsm.so"

# ---- an end entity, and an RA ----
"$dot2hsm" lab init --module "$module" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse --force lab >/dev/null
ee() {
    sed "$1" lab/rse.conf >ee.conf
    doctor --config ee.conf --login
}
grep -q '^state-dir' lab/rse.conf || fail "lab/rse.conf has no state-dir"
mkdir -p "$(sed -n 's/^state-dir *= *//p' lab/rse.conf)"
expect 0 ee ''
finds good certificate "valid"
finds good key "enrollment-key is the key of"
finds good state-dir state
expect 2 ee 's,^state-dir.*,state-dir = /nonexistent/state,'
finds fault state-dir "No such file"
if [ "$(id -u)" -eq 0 ]; then
    expect 2 ee 's,^state-dir.*,state-dir = /proc/self,'
    finds fault state-dir "cannot be written"
fi
expect 1 ee 's/object=enrollment/object=imported/'
finds fault key-mismatch "is not the key"
expect 1 ee "s,^anchors.*,anchors = $(ls "$work"/lab/*/pg.oer "$work"/lab/pg.oer 2>/dev/null | head -n1),"
finds fault certificate "enrollment"
expect 2 ee "s,^enrollment-certificate.*,enrollment-certificate = $work/soft.der,"
finds fault certificate "no IEEE 1609.2 certificate"
expect 2 ee "s,^tls-root.*,tls-root = $work/soft.der,"
finds fault tls-certificate "tls-root"

# Certificates of the lab's own CA whose time is over, or has not come.
forge() {
    "$BUILD_DIR/tests/forge" issue lab/rse/enrollment.oer lab/trust/eca.oer lab/ca/eca.key "$1" \
        "$1.oer" "$1.key" || fail "forge $1"
    ee "s,^enrollment-certificate.*,enrollment-certificate = $work/$1.oer,"
}
expect 1 forge expired
finds fault certificate "expired.oer"
finds fault certificate "expired"
says out "Have it renewed"
expect 1 forge future
finds fault certificate "future.oer"
says out "Set the clock, or wait."
expect 1 forge good
finds good certificate "good.oer"
finds fault key-mismatch "is not the key"
expect 0 ee '/^enrollment-certificate/s,$,\ncrl-url = https://localhost:1,'
finds note crl "not looked into"

openssl req -new -key soft.pem -subj /CN=past -out past.csr
openssl x509 -req -in past.csr -signkey soft.pem -days 0 -out past.pem 2>err || fail "x509: $(cat err)"
sleep 1 # until it has ended
expect 1 ee "s,^tls-root.*,tls-root = $work/past.pem,"
finds fault tls-certificate "has expired"

ra() {
    sed "$1" lab/ra.conf >ra.conf
    doctor --ra ra.conf --login
}
expect 0 ra ''
finds good ra-config "ra.conf"
finds good store "opened"
finds good key "tls-key is the key of"
finds good key "decrypt-key is the key of"
expect 2 ra 's/^stage.*/stage = DEV/;$s/$/\nstag = QA/'
finds fault ra-config "stag"
expect 2 doctor --ra none.conf
finds fault ra-config "none.conf cannot be read: No such file"
expect 2 ra 's,^download-dir.*,download-dir = /nonexistent,'
finds fault download-dir "No such file"
for option in policy-file chain-file; do
    expect 2 ra "s,^$option.*,$option = /nonexistent,"
    finds fault $option "No such file"
    ln -sf /etc/passwd "$work/link" # the server does not follow it
    expect 2 ra "s,^$option.*,$option = $work/link,"
    finds fault $option "symbolic link"
done
for option in crl-file ocsp-file; do
    expect 2 ra "s,^\[ra\],&\n$option = $work,"
    finds fault $option "is no file"
done
expect 3 ra 's,^store.*,store = sqlite:/nonexistent/store.sqlite,'
finds fault store "store"
expect 1 ra "s,^tls-certificate.*,tls-certificate = $work/past.pem,"
finds fault tls-certificate "has expired"
# CRLs: that of another certificate is good; one that names the RA's, or a CA of it, refuses it.
crls() { ra "s,^anchors.*,&\ncrl-files = $work/lab/ra/crl.oer,"; }
sed -i '/^crl-files/d' lab/ra.conf
"$dot2hsm" lab crl lab lab/rse/enrollment.oer >/dev/null
expect 0 crls
finds good crl "crl.oer"
"$dot2hsm" lab crl lab "$(sed -n 's/^certificate *= *//p' lab/ra.conf | head -n1)" >/dev/null
expect 1 crls
finds fault certificate "CRL"
says out "ask its CA why it was revoked"
cp soft.der lab/ra/crl.oer
expect 2 crls
finds fault crl "crl.oer"
expect 1 ra 's/object=ra-tls/object=ra-sign/'
finds fault key-mismatch "tls-key"
expect 1 ra 's/object=ra-encryption/object=ra-sign/'
finds fault key-usage "CKA_DERIVE"

expect 0 "$dot2hsm" doctor --help
says out "Usage: dot2hsm doctor"
expect 2 "$dot2hsm" doctor --no-such-option
done_testing
