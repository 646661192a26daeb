#!/usr/bin/env bash
# The main job, end to end, on this machine: two SoftHSM2 tokens, a registration authority (RA) whose
# TLS key is in one of them, a road-side unit (RSE) whose enrollment key is in the other, and a file
# that travels over TLS in two parts, because the first transfer is cut off. Then the RSE gets an
# application certificate from the CAs of the laboratory, and a receiver verifies what it signs.
#
#   ./demo.sh               build what is missing and run; ends 0 if every check holds
#   ./demo.sh --p11-kit     the same with the tokens in another process, as a network HSM's are
#   ./demo.sh --remote      as --p11-kit, but through our own p11shimd, which carries ECDH too
#   ./demo.sh --dir DIR     work in DIR (must not exist) and keep it; default: a temporary directory
#   ./demo.sh --no-build    run what is in build/release, install nothing
#   ./demo.sh --installed   run the dot2hsm and dot2hsm-ra of the PATH, install nothing
#
# Hooks, for tests: HOOK_PREPARE, HOOK_RUNNING are commands; see the places where they run.
set -euo pipefail
cd "$(dirname "$0")"
. cmake/setup.sh

dir= p11kit= remote= build=1 installed=
while [ $# -gt 0 ]; do
    case $1 in
    --p11-kit) p11kit=1 ;;
    --remote) remote=1 ;;
    --no-build) build= ;;
    --installed) build= installed=1 ;;
    --dir)
        dir=${2:?--dir needs a directory}
        shift
        ;;
    -h | --help)
        sed -n '2,15s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "demo.sh: unknown argument $1 (see --help)" >&2
        exit 2
        ;;
    esac
    shift
done

if [ -n "$p11kit" ] && [ -n "$remote" ]; then
    echo "demo.sh: --p11-kit or --remote, not both" >&2
    exit 2
fi

if [ -n "$installed" ] && [ -n "$remote" ]; then
    echo "demo.sh: --installed has no p11shimd for --remote" >&2
    exit 2
fi

if [ -n "$build" ]; then
    # shellcheck disable=SC2086
    setup_packages $SETUP_BUILD_PACKAGES $SETUP_RUN_PACKAGES
    setup_build release
fi
if [ -n "$installed" ]; then
    bin=$(dirname "$(command -v dot2hsm-ra)") && command -v dot2hsm >/dev/null || {
        echo "demo.sh: dot2hsm and dot2hsm-ra are not in the PATH" >&2
        exit 2
    }
else
    bin=${BUILD_DIR:-$PWD/build/release}/bin
fi

keep=$dir
if [ -n "$dir" ]; then
    mkdir -m 700 "$dir"
    dir=$(cd "$dir" && pwd)
else
    dir=$(mktemp -d)
fi
finish() {
    local status=$?
    trap - EXIT
    for pid in $(jobs -rp); do
        kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true
    done
    [ -n "$keep" ] || rm -rf "$dir"
    [ "$status" -eq 0 ] || echo "demo.sh: failed (status $status)" >&2
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

step=0
say() {
    step=$((step + 1))
    printf '\n%d. %s\n' "$step" "$*"
}
check() { # check TEXT COMMAND...: runs a command quietly; the demonstration ends if it fails
    local text=$1
    shift
    if "$@" >"$dir/check.log" 2>&1; then
        printf '   checked: %s\n' "$text"
    else
        cat "$dir/check.log" >&2
        printf '   FAILED: %s\n' "$text" >&2
        exit 1
    fi
}

softhsm=/usr/lib/softhsm/libsofthsm2.so
module=$softhsm

say "Two SoftHSM2 tokens: \"ra\" for the registration authority, \"rse\" for the road-side unit"
umask 077
mkdir "$dir/tokens"
cat >"$dir/softhsm2.conf" <<CONF
directories.tokendir = $dir/tokens
objectstore.backend = file
log.level = ERROR
CONF
export SOFTHSM2_CONF=$dir/softhsm2.conf
slot=0
for token in ra rse; do
    # PINs are random, and kept in files that only this user can read.
    openssl rand -hex 8 >"$dir/$token.pin"
    SO_PIN=$(openssl rand -hex 8) USER_PIN=$(cat "$dir/$token.pin")
    export SO_PIN USER_PIN
    pkcs11-tool --module "$softhsm" --init-token --slot-index $slot --label "$token" \
        --so-pin env:SO_PIN >"$dir/check.log" 2>&1
    pkcs11-tool --module "$softhsm" --token-label "$token" --init-pin --login --login-type so \
        --so-pin env:SO_PIN --new-pin env:USER_PIN >"$dir/check.log" 2>&1
    unset SO_PIN USER_PIN
    slot=$((slot + 1))
    echo "   pkcs11:token=$token, PIN in $dir/$token.pin"
done

if [ -n "$p11kit" ]; then
    say "The tokens move into another process: p11-kit server"
    setsid p11-kit server --provider "$softhsm" -n "$dir/p11-kit.sock" -f pkcs11: \
        >"$dir/p11-kit.log" 2>&1 &
    for _ in $(seq 100); do
        [ -S "$dir/p11-kit.sock" ] && break
        sleep 0.05
    done
    export P11_KIT_SERVER_ADDRESS=unix:path=$dir/p11-kit.sock
    module=/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)/pkcs11/p11-kit-client.so
    echo "   $module, process $!"
fi
if [ -n "$remote" ]; then
    say "The tokens move into another process: p11shimd"
    setsid "$bin/../tests/p11shimd" "$dir/p11shim.sock" "$softhsm" >"$dir/p11shimd.log" 2>&1 &
    for _ in $(seq 100); do
        [ -S "$dir/p11shim.sock" ] && break
        sleep 0.05
    done
    export SHIM_SOCKET=$dir/p11shim.sock
    module=$(cd "$bin/../tests" && pwd)/p11shim.so
    echo "   $module, process $!"
    check "its clients see both tokens" bash -c \
        "pkcs11-tool --module '$module' --list-slots | grep -c 'token label *: ra\|token label *: rse' | grep -qx 2"
    check "they may derive keys (ECDH), which p11-kit 0.24 does not carry" bash -c \
        "pkcs11-tool --module '$module' --token-label ra --list-mechanisms | grep -q ECDH1-DERIVE"
fi
# For tests: puts keys of its own into the tokens before the laboratory looks for them.
[ -z "${HOOK_PREPARE:-}" ] || DEMO_DIR=$dir DEMO_MODULE=$softhsm "$HOOK_PREPARE"


say "Keys in the tokens, and a laboratory's PKI around them (for demonstrations, not for the field)"
port=$((20000 + RANDOM % 20000))
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
done
head -c 4194304 /dev/urandom >"$dir/original"
"$bin/dot2hsm" lab init "$dir/lab" --module "$module" --pin-source "file:$dir/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse --port "$port" \
    --file "$dir/original" ${DEMO_LAB_OPTIONS:-} >"$dir/lab.txt"
sed 's/^/   /' "$dir/lab.txt"
for token in ra rse; do
    list=("$bin/dot2hsm" keys list --module "$module" --pin-source "file:$dir/$token.pin")
    echo "   private keys in token $token:"
    "${list[@]}" "pkcs11:token=$token;type=private" | sed 's/^/     /'
    "${list[@]}" --json "pkcs11:token=$token;type=private" >"$dir/$token.keys"
    check "each of them is sensitive, and none can be extracted" bash -c \
        "grep -q '\"sensitive\":true' '$dir/$token.keys' &&
         ! grep -E '\"sensitive\":false|\"extractable\":true' '$dir/$token.keys'"
done
enrollment=$("$bin/dot2hsm" hash "$dir/lab/rse/enrollment.oer" | sed -n 's/^HashedId8 *//p')
check "the enrollment certificate leads to the root" \
    "$bin/dot2hsm" verify --root "$dir/lab/trust/root.oer" --cert "$dir/lab/trust" \
    "$dir/lab/rse/enrollment.oer"
echo "   HashedId8 of the enrollment certificate: $enrollment"

# p11-kit's protocol does not carry CKM_ECDH1_DERIVE, and dot2hsm-ra says so at its start.
[ -z "$p11kit" ] || sed -i '/^\[ra-key /,/^$/d' "$dir/lab/ra.conf"
say "The RA starts; its TLS key stays in its token"
setsid "$bin/dot2hsm-ra" "$dir/lab/ra.conf" >"$dir/ra.log" 2>&1 &
ra=$!
for _ in $(seq 200); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$ra" 2>/dev/null || break
    sleep 0.05
done
grep 'event=started' "$dir/ra.log" | sed 's/^/   /'
check "the RA's log names a key in the token as its TLS key" \
    grep -q 'event=started.*pkcs11:token=ra' "$dir/ra.log"
[ -z "${HOOK_RUNNING:-}" ] || DEMO_DIR=$dir DEMO_RA=$ra DEMO_PORT=$port "$HOOK_RUNNING"

say "The RSE asks for its file, and the transfer is cut off"
file=$(basename "$dir"/lab/ra/download/????????????????.zip)
(
    cd "$dir"
    exec "$bin/dot2hsm" ee download --config lab/rse.conf --limit-rate 2000000 \
        --out received "$file" >first.txt 2>&1
) &
rse=$!
part=$dir/received.part
for _ in $(seq 600); do
    [ "$(stat -c %s "$part" 2>/dev/null || echo 0)" -lt 1000000 ] || break
    kill -0 "$rse" 2>/dev/null || break
    sleep 0.02
done
kill -KILL "$rse" 2>/dev/null || true
wait "$rse" 2>/dev/null || true
first=$(stat -c %s "$part")
echo "   dot2hsm ee download was killed (SIGKILL) in the middle; $first octets of $file are there"
check "the file is not complete" test "$first" -lt "$(stat -c %s "$dir/original")"

say "The RSE signs a fresh Time32 and goes on where it was"
"$bin/dot2hsm" ee download --config "$dir/lab/rse.conf" --out "$dir/received" "$file" |
    tee "$dir/second.txt" | sed 's/^/   /'
check "the second part begins where the first ended" \
    grep -q "^Resumed *at octet $first\$" "$dir/second.txt"
check "the request was signed under the enrollment certificate, with the key in the token" \
    grep -qi "^Enrollment *HashedId8 $enrollment.*pkcs11:token=rse" "$dir/second.txt"
second=$(sed -n 's/^Received *\([0-9]*\) octets/\1/p' "$dir/second.txt")
echo "   first part $first octets, second part $second octets"
check "together they are the whole file" \
    test $((first + second)) -eq "$(stat -c %s "$dir/original")"
source_hash=$(sha256sum <"$dir/original" | cut -d' ' -f1)
copy_hash=$(sha256sum <"$dir/received" | cut -d' ' -f1)
echo "   SHA-256 of the source: $source_hash"
echo "   SHA-256 of the copy:   $copy_hash"
check "source and copy are equal" test "$source_hash" = "$copy_hash"

if [ -n "$p11kit" ]; then
    say "No application certificate this time"
    echo "   The RA decrypts requests, and the RSE its certificate, with ECDH in their tokens; p11-kit"
    echo "   0.24 does not carry ECDH. ./demo.sh and ./demo.sh --remote show this part."
else
    say "The CAs behind the RA start (dot2hsm lab run); the RSE asks for an application certificate"
    setsid "$bin/dot2hsm" lab run "$dir/lab" >"$dir/lab-run.txt" 2>&1 &
    cas=$!
    "$bin/dot2hsm" ee sync --config "$dir/lab/rse.conf" --wait >"$dir/sync.txt"
    sed 's/^/   RSE: /' "$dir/sync.txt"
    sed 's/^/   CAs: /' "$dir/lab-run.txt"
    "$bin/dot2hsm" ee status --config "$dir/lab/rse.conf" | tee "$dir/status.txt" | sed 's/^/   /'
    "$bin/dot2hsm" keys list --json --module "$module" --pin-source "file:$dir/rse.pin" \
        'pkcs11:token=rse;type=private' >"$dir/rse.keys"
    check "its key was made in the token, beside the enrollment key" test \
        "$(grep -o '"sensitive":true' "$dir/rse.keys" | wc -l)" -eq 2
    check "it is sensitive too, and cannot be extracted" bash -c \
        "! grep -E '\"sensitive\":false|\"extractable\":true' '$dir/rse.keys'"

    say "The RSE signs a message under it, and a receiver that has the root verifies it"
    printf 'Work zone ahead: left lane closed, 45 mph' >"$dir/message"
    "$bin/dot2hsm" ee sign --config "$dir/lab/rse.conf" --psid 0x83 --out "$dir/signed" \
        "$dir/message"
    # What a receiver has: the root, and the certificates between it and the devices.
    mkdir "$dir/receiver"
    cp "$dir/lab/trust/ica.oer" "$dir/lab/trust/pca.oer" "$dir/receiver"
    verify=("$bin/dot2hsm" verify --root "$dir/lab/trust/root.oer" --cert "$dir/receiver")
    "${verify[@]}" "$dir/signed" | tee "$dir/verify.txt" | sed 's/^/   /'
    check "the message leads to the root" "${verify[@]}" "$dir/signed"
    check "its words are in it, and it is no longer than they need" bash -c \
        "grep -qF 'left lane closed' '$dir/signed' && [ \$(stat -c %s '$dir/signed') -lt 500 ]"
    sed 's/45 mph/95 mph/' "$dir/signed" >"$dir/altered"
    if "${verify[@]}" "$dir/altered" >"$dir/altered.txt" 2>&1; then
        echo "   FAILED: an altered message was taken" >&2
        exit 1
    fi
    sed 's/^/   with 95 mph in it: /' "$dir/altered.txt"
    kill -TERM "$cas"
    wait "$cas" || {
        echo "demo.sh: the CAs ended with status $?" >&2
        exit 1
    }
fi

say "A device on the blacklist gets nothing"
"$bin/dot2hsm" ra blacklist add --config "$dir/lab/ra.conf" "$dir/lab/rse/enrollment.oer" |
    sed 's/^/   /'
if "$bin/dot2hsm" ee download --config "$dir/lab/rse.conf" --out "$dir/refused" "$file" \
    >"$dir/refused.txt" 2>&1; then
    echo "   FAILED: the blacklisted device was served" >&2
    exit 1
fi
sed 's/^/   /' "$dir/refused.txt"
grep 'reason=blacklisted' "$dir/ra.log" | sed 's/^/   RA: /'
check "the RA's log says why" grep -q 'reason=blacklisted' "$dir/ra.log"
check "no file was written" test ! -e "$dir/refused"

kill -TERM "$ra"
wait "$ra" || {
    echo "demo.sh: the RA ended with status $?" >&2
    exit 1
}
printf '\nAll of it held: keys in HSMs, a signed Time32, one file in two parts over TLS'
[ -n "$p11kit" ] || printf ',\na certificate of its own for the RSE, and a message under it that leads to the root'
printf '.\n'
[ -z "$keep" ] || echo "Everything is in $dir"
