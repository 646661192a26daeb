# Sourced by run.sh: the provider beside Debian's libengine-pkcs11-openssl and pkcs11-provider
# (bookworm-backports), which are fetched by apt into a temporary directory and not installed; a row
# that cannot be had is left out, and said.

# ---- the others ----
# fetch PACKAGE FILE: the file within the package, in $work.
fetch() {
    local file
    file=$(cd "$work" && apt-get "${apt[@]}" download "$1" >/dev/null 2>&1 &&
        dpkg -x "$1"_*.deb "$1" && find "$work/$1" -name "$2" -type f | head -n1) || true
    [ -n "$file" ] || echo "bench: $1 cannot be had by apt here" >&2
    printf '%s' "$file"
}
engine='' other=''
if [ $smoke = no ]; then
    mkdir -p "$work/apt/lists/partial"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # The mirror of this machine, which may not have the backports among its sources.
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' | awk '$2 == "bookworm" { print $1; exit }')
    printf 'deb [signed-by=%s] %s %s main\n' $keyring "$mirror" bookworm \
        $keyring "$mirror" bookworm-backports >"$work/apt/sources"
    apt=(-o "Dir::Etc::sourcelist=$work/apt/sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$work/apt/lists" -o APT::Sandbox::User=root)
    apt-get "${apt[@]}" update >/dev/null 2>&1 || echo "bench: apt-get update failed" >&2
    engine=$(fetch libengine-pkcs11-openssl pkcs11.so)
    apt+=(-t bookworm-backports)
    other=$(fetch pkcs11-provider pkcs11.so)
fi

# ---- a token ----
mkdir "$work/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
    "$work/tokens" >"$work/softhsm2.conf"
export SOFTHSM2_CONF=$work/softhsm2.conf
softhsm=/usr/lib/softhsm/libsofthsm2.so
softhsm2-util --init-token --free --label bench --pin 739154 --so-pin 11223344 >/dev/null
(umask 077 && printf 739154 >"$work/pin")
for key in sign derive; do
    "$build/bin/dot2hsm" keys generate --module $softhsm --pin-source "file:$work/pin" \
        --curve P-256 --usage $key "pkcs11:token=bench;object=$key" >/dev/null
done

export BENCH_TOKEN=bench BENCH_PIN=739154 BENCH_PIN_FILE=$work/pin
export BENCH_DOT2HSM=$build/lib/dot2hsm.so BENCH_PKCS11_PROVIDER=$other BENCH_ENGINE=$engine

# ---- a configuration each, for the cold start ----
"$build/bin/dot2hsm" config --module $softhsm --token pkcs11:token=bench \
    --pin-source "file:$work/pin" --out "$work/dot2hsm.cnf"
# no-deinit: without it pkcs11-provider crashes at the process's exit, in SoftHSM that has ended.
printf '%s\n' 'openssl_conf = a' '[a]' 'providers = b' '[b]' 'default = c' 'pkcs11 = d' '[c]' \
    'activate = 1' '[d]' "module = $other" "pkcs11-module-path = $softhsm" \
    'pkcs11-module-quirks = no-deinit' \
    "pkcs11-module-token-pin = file:$work/pin" 'activate = 1' >"$work/other.cnf"
printf '%s\n' 'openssl_conf = a' '[a]' 'engines = b' '[b]' 'pkcs11 = c' '[c]' 'engine_id = pkcs11' \
    "dynamic_path = $engine" "MODULE_PATH = $softhsm" 'PIN = 739154' 'init = 0' >"$work/engine.cnf"
head -c 1000 /dev/zero >"$work/data"
key='pkcs11:token=bench;object=sign;type=private'
sign() {
    printf "OPENSSL_CONF=%s exec openssl dgst -sha256 %s -sign '%s' -out %s %s 2>%s" \
        "$work/$1.cnf" "${2:-}" "$key" "$work/$1.sig" "$work/data" "$work/$1.err"
}
COLD_DOT2HSM=$(sign dot2hsm)
COLD_PKCS11_PROVIDER='' COLD_ENGINE=''
[ -z "$other" ] || COLD_PKCS11_PROVIDER=$(sign other)
[ -z "$engine" ] || COLD_ENGINE=$(sign engine '-engine pkcs11 -keyform engine')
export COLD_DOT2HSM COLD_PKCS11_PROVIDER COLD_ENGINE

# ---- run ----
BENCH_MODULE=$softhsm run bench_provider local "$slice"
"$build/tests/shimctl" "$work/state" create
SHIM_MODULE=$softhsm SHIM_STATE=$work/state BENCH_MODULE=$build/tests/p11shim.so run bench_provider far "$far_slice"
run bench_provider cold 1
if [ -n "$other" ] && [ -s "$work/other.err" ]; then
    echo "bench: pkcs11-provider, cold: $(tail -n1 "$work/other.err")" >&2
fi
