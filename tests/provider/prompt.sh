#!/usr/bin/env bash
# The terminal is asked for a PIN only if no source is configured: a source that cannot be read, or
# that holds a wrong PIN, is an error at once, also where somebody sits at a terminal.
. "$SOURCE_DIR/tests/provider/lab.sh"

ours genpkey -propquery provider=dot2hsm -algorithm EC -pkeyopt group:P-256 \
    -pkeyopt "pkcs11_uri:pkcs11:token=lab;object=key" -out "$lab/key.pem"
printf data >"$lab/data"

# at_terminal CONF URI: signs with a terminal to ask at, on which the right PIN is typed.
at_terminal() {
    rm -f "$lab/signature" "$lab/terminal"
    type_pin |
        OPENSSL_CONF="$1" timeout 60 script -qefc \
            "openssl dgst -sha256 -sign '$2' -out '$lab/signature' '$lab/data'; echo ENDED" \
            /dev/null >"$lab/terminal" 2>&1 || true
}
# Once there is a prompt, which has switched the echo off; without one nothing is typed.
type_pin() {
    for _ in $(seq 300); do
        grep -qs ENDED "$lab/terminal" && return
        prompted && break
        sleep 0.1
    done
    printf '%s\n' "$pin"
    for _ in $(seq 100); do
        grep -qs ENDED "$lab/terminal" && return
        sleep 0.1
    done
}
prompted() { grep -qsi 'pin for\|enter' "$lab/terminal"; }

step "no source: the prompt, and the PIN typed there serves"
configuration "$lab/none.cnf" "pkcs11-module = $module"
at_terminal "$lab/none.cnf" "pkcs11:token=lab;object=key"
prompted || die "no prompt: $(cat "$lab/terminal")"
[ -s "$lab/signature" ] || die "no signature: $(cat "$lab/terminal")"
! grep -q "$pin" "$lab/terminal" || die "the PIN is shown"

step "a source that cannot be read"
configuration "$lab/unreadable.cnf" "pkcs11-module = $module" "pin-source = file:$lab/nowhere"
at_terminal "$lab/unreadable.cnf" "pkcs11:token=lab;object=key"
! prompted || die "a prompt beside a source: $(cat "$lab/terminal")"
[ ! -s "$lab/signature" ] || die "a signature"
grep -q "$lab/nowhere" "$lab/terminal" || die "the source is not named: $(cat "$lab/terminal")"

step "a source that others may read"
printf %s $pin >"$lab/open"
chmod 644 "$lab/open"
at_terminal "$lab/none.cnf" "pkcs11:token=lab;object=key?pin-source=file:$lab/open"
! prompted || die "a prompt beside a source: $(cat "$lab/terminal")"
grep -q 0644 "$lab/terminal" || die "the mode is not named: $(cat "$lab/terminal")"

step "a wrong PIN"
(umask 077 && printf 999999 >"$lab/wrong")
at_terminal "$lab/none.cnf" "pkcs11:token=lab;object=key?pin-source=file:$lab/wrong"
! prompted || die "a prompt beside a source: $(cat "$lab/terminal")"
grep -q CKR_PIN_INCORRECT "$lab/terminal" || die "not named: $(cat "$lab/terminal")"
! grep -q 999999 "$lab/terminal" || die "the PIN is shown"
