#!/usr/bin/env bash
# dot2hsm config: what it writes works with the openssl program, and with dot2hsm.
. "$(dirname "$0")/lib.sh"
unset OPENSSL_CONF OPENSSL_MODULES

tokens rse
generate rse enrollment P-256
good=(--module "$module" --token pkcs11:token=rse --pin-source "file:$work/rse.pin")

printf 'what is signed' >data

# With nothing but the file: sign with the token's key by the openssl program, verify without.
works() {
    local key=pkcs11:object=enrollment
    OPENSSL_CONF=$1 openssl pkey -in "$key" -pubout -out public.pem
    OPENSSL_CONF=$1 openssl dgst -sha256 -sign "$key" -out signature data
    OPENSSL_CONF=/dev/null openssl dgst -sha256 -verify public.pem -signature signature data >/dev/null
    checks=$((checks + 1))
}

expect 0 "$dot2hsm" config "${good[@]}" --out openssl.cnf
expect 0 "$dot2hsm" config "${good[@]}"
same out openssl.cnf
if [ -z "$SANITIZE" ]; then
    works "$work/openssl.cnf"
fi
expect 0 "$dot2hsm" doctor --openssl openssl.cnf --login

# Over the system's file: its settings hold as well (openssl req needs its sections).
printf 'openssl_conf = start\n[start]\noid_section = oids\n[oids]\nourOid = 1.2.3.4.5\n[req]\ndistinguished_name = name\n[name]\n' \
    >system.cnf
expect 0 "$dot2hsm" config "${good[@]}" --include "$work/system.cnf" --out both.cnf
if [ -z "$SANITIZE" ]; then
    works "$work/both.cnf"
    OPENSSL_CONF=$work/both.cnf openssl req -x509 -key pkcs11:object=enrollment -subj /ourOid=here \
        -days 1 -out cert.pem 2>err || fail "req: $(cat err)"
    openssl x509 -in cert.pem -noout -subject >subject
    grep -Eq "1\.2\.3\.4\.5 ?= ?here" subject || fail "the OID has no name: $(cat subject)"
fi
expect 0 "$dot2hsm" doctor --openssl both.cnf
expect 2 "$dot2hsm" config "${good[@]}" --include "$work/none.cnf"
says err "none.cnf cannot be read"
expect 2 "$dot2hsm" keys list --config "$work/none.conf"
says err "none.conf cannot be read: No such file"
one_error

# The form of our own.
expect 0 "$dot2hsm" config "${good[@]}" --format own --option key-copy=no --option max-sessions=3 \
    --out own.conf
says own.conf 'key-copy = "no"'
expect 0 "$dot2hsm" keys list --config own.conf
says out "enrollment"
expect 0 env DOT2HSM_CONF="$work/own.conf" "$dot2hsm" sign --plain \
    --key pkcs11:object=enrollment --out signature data
if [ -z "$SANITIZE" ]; then
    sed 's/^pkcs11-module.*//;s/^token.*//;s/^pin-source.*//' openssl.cnf >bare.cnf
    DOT2HSM_CONF=$work/own.conf works "$work/bare.cnf"
    sed "s,^pkcs11-module.*,config = $work/own.conf,;s/^token.*//;s/^pin-source.*//" openssl.cnf >named.cnf
    works "$work/named.cnf"
fi

# A value that CONF would read otherwise stays what it is.
cp rse.pin 'p#i $n\x"y.pin'
expect 0 "$dot2hsm" config --module "$module" --token pkcs11:token=rse \
    --pin-source "file:$work/"'p#i $n\x"y.pin' --format own --out odd.conf
expect 0 "$dot2hsm" keys list --config odd.conf
says out "enrollment"

# Programs run in other directories: what is named relative to this one is found from there.
mkdir -p elsewhere
ln -sf "$module" module.so
for pin in file:rse.pin ./rse.pin rse.pin; do
    expect 0 "$dot2hsm" config --module ./module.so --token pkcs11:token=rse --pin-source "$pin" \
        --include system.cnf --out moved.cnf
    says moved.cnf ".include = $work/system.cnf"
    (cd elsewhere && expect 0 "$dot2hsm" doctor --openssl ../moved.cnf --login) ||
        fail "from elsewhere, with $pin"
    checks=$((checks + 1))
done
refused_too_long=$(printf 'a%.0s' {1..4096})
expect 2 "$dot2hsm" config "${good[@]}" --include "$refused_too_long"
says err "too long"

# What cannot work is not written.
refused() {
    expect 2 "$dot2hsm" config "$@" --out none.cnf
    [ ! -e none.cnf ] || fail "written: $*"
}
refused
refused --module "$work/none.so"
refused "${good[@]}" --option key-copy=perhaps
refused "${good[@]}" --option key-cpy=no
refused "${good[@]}" --option key-copy
refused "${good[@]}" --format own --include system.cnf
refused "${good[@]}" --format yaml
refused "${good[@]}" operand
refused --module "$module" --pin-source file:
refused --module "$module" --token 'pkcs11:tokn=rse'
refused --module "$module" --pin-source 'carrier pigeon:7'
refused --module "$module" --token 'pkcs11:object=enrollment'
expect 0 "$dot2hsm" config --help
says out "Usage: dot2hsm config"
done_testing
