# Sourced by the tests that run what the documents tell a reader to type.
. "$SOURCE_DIR/tests/security/lib.sh"
unset DOT2HSM_CONF OPENSSL_CONF OPENSSL_MODULES
PATH=$bin:$PATH:/usr/sbin
etc=$work/etc var=$work/var
mkdir "$etc" "$var" "$work/here"
cd "$work/here"

# block DOCUMENT HEADING [N]: the Nth (1) block below the heading that begins so, in places of ours.
block() {
    awk -v heading="$2" -v n="${3:-1}" '
        /^#/ && !inside { here = index($0, heading) == 1 }
        /^```/ { inside = !inside; if (inside && here) count++; next }
        inside && here && count == n' "$SOURCE_DIR/$1" |
        sed -e "s|/etc/dot2hsm|$etc|g" -e "s|/var/lib/dot2hsm|$var|g" \
            -e "s|/usr/lib/vendor/libvendor-pkcs11.so|$softhsm|g" \
            -e "s|/usr/local/lib/x86_64-linux-gnu/ossl-modules|$DOT2HSM_MODULES|g" \
            -e "s|ra.example.org:8892|ra.example.org:${port:-0}|g" >"$work/block"
    [ -s "$work/block" ] || fail "$1 has no block ${3:-1} below $2"
}
# run DOCUMENT HEADING [N] [SED-EXPRESSION]: types it, in this shell.
run() {
    block "$1" "$2" "${3:-1}"
    [ -z "${4:-}" ] || sed -i "$4" "$work/block"
    trap 'echo "FAILED: line $LINENO of what stands in the document:" >&2; cat "$work/block" >&2' ERR
    # shellcheck disable=SC1091
    . "$work/block" >>"$work/typed.log" 2>&1
    trap - ERR
}
# What is for a machine that systemd has booted (tests/stories/booted.sh): that the units exist.
systemctl() {
    local word
    for word in "$@"; do
        case $word in *.service | *.timer)
            ls "$SOURCE_DIR/packaging/$word"* >/dev/null || fail "there is no unit $word" ;;
        esac
    done
}
chown() { [ "$*" = "-R dot2hsm: $var" ]; }
journalctl() { systemctl "$@"; }
curl() { command curl --resolve "ra.example.org:$port:127.0.0.1" "$@"; }
