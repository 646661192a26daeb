#!/usr/bin/env bash
# dot2hsm lab init: with keys in tokens and without; every certificate of it verifies.
. "$(dirname "$0")/lib.sh"

tokens ra rse
expect 0 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse lab
says out "for tests and demonstrations"
says out "pkcs11:token=rse;object=enrollment"

# Modes: directories for the owner, keys for the owner.
[ "$(find lab -type d ! -perm 700 | wc -l)" -eq 0 ] || fail "a directory is open"
[ "$(find lab -name '*.key' ! -perm 600 | wc -l)" -eq 0 ] || fail "a key is open"
[ ! -e lab/ra/tls.key ] && [ ! -e lab/ra/sign.key ] && [ ! -e lab/rse/enrollment.key ] ||
    fail "a key of a token is a file"

# Every certificate, up to the root.
for file in lab/trust/*.oer lab/rse/*.oer lab/obe/*.oer; do
    expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust "$file"
    says out "valid"
    says out "root.lab.test  explicit, self-issued, anchor"
    expect 0 "$dot2hsm" inspect --json "$file"
    python3 -m json.tool <out >/dev/null || fail "$file: not JSON"
    expect 0 "$dot2hsm" hash "$file"
    says out "form        canonical"
done
for device in rse obe; do
    expect 0 "$dot2hsm" verify --purpose enrollment --root lab/trust/root.oer --cert lab/trust \
        lab/$device/enrollment.oer
done
expect 1 "$dot2hsm" verify --purpose enrollment --root lab/trust/root.oer --cert lab/trust \
    lab/trust/ra.oer
says out DOT2_E_PERMISSION

# The profiles.
expect 0 "$dot2hsm" inspect lab/rse/enrollment.oer
says out "ExplicitCertificate"
says out "crlSeries: 4"
says out 'name: ""'
says out "countryOnly: 840"
says out "canRequestRollover: NULL"
says out "minChainLength: 0"
says out "years: 3"
! grep -q appPermissions out || fail "an enrollment certificate with appPermissions"
[ "$(grep -c 'eeType.*(DEFAULT)' out)" -eq 1 ] || fail "eeType {app} is not left out"
root=$("$dot2hsm" hash lab/trust/root.oer | awk '/HashedId3/ { print $2 }')
says out "cracaId: $root"
expect 0 "$dot2hsm" inspect lab/obe/enrollment.oer
says out "ImplicitCertificate"
says out "reconstructionValue"
expect 0 "$dot2hsm" inspect lab/trust/ra.oer
says out "hours: 26448"
says out "contains ra"
says out "encryptionKey: PublicEncryptionKey"
says out 'name: "localhost"'
expect 0 "$dot2hsm" inspect lab/ra/local_certificate_chains_01_01.oer
says out "localCertificateChainFile"
says out "certs: SequenceOfCertificate, 6 elements"
# The policy file, and that its countersignatures are the policy generator's: each is cut out by its
# place in the tree and verified as the message that it is.
expect 0 "$dot2hsm" inspect --json lab/ra/local_policy_01.oer
cp out policy.json
python3 - <<'PYTHON'
import hashlib, json
octets = open("lab/ra/local_policy_01.oer", "rb").read()
def walk(node):
    yield node
    for child in node.get("members", []):
        yield from walk(child)
nodes = list(walk(json.load(open("policy.json"))["tree"][0]))
signed = [n for n in nodes if n["type"] == "Countersignature"]
policies = [n for n in nodes if n["type"] == "ToBeSignedPolicyData"]
hashes = [n["value"] for n in nodes if n.get("name") == "sha256HashedData"]
assert len(signed) == len(policies) == len(hashes) == 2, (signed, policies, hashes)
for i in range(2):
    cut = lambda n: octets[n["offset"]:n["offset"] + n["size"]]
    assert hashlib.sha256(cut(policies[i])).hexdigest() == hashes[i]
    open("countersignature%d" % i, "wb").write(cut(signed[i]))
PYTHON
for i in 0 1; do
    expect 0 "$dot2hsm" verify --root lab/trust/root.oer --cert lab/trust countersignature$i
    says out "pg.lab.test"
done

# The keys are the certificates', wherever they are.
printf '\032\053\074\115' >time32
expect 0 "$dot2hsm" sign --config lab/ee.conf --signer lab/rse/enrollment.oer \
    --key 'pkcs11:token=rse;object=enrollment' time32
expect 0 "$dot2hsm" sign --config lab/ra.conf --signer lab/trust/ra.oer \
    --key 'pkcs11:token=ra;object=ra-sign' time32
for ca in root ica eca pca ma pg; do
    expect 0 "$dot2hsm" sign --signer lab/trust/$ca.oer --key lab/ca/$ca.key time32
done
# The key for encryption cannot sign.
expect 1 "$dot2hsm" sign --config lab/ra.conf --self --key 'pkcs11:token=ra;object=ra-encryption' \
    time32

# X.509: the root issued the RA's, for all its names.
for name in localhost; do
    openssl verify -x509_strict -CAfile lab/trust/x509-root.pem -purpose sslserver \
        -verify_hostname $name lab/ra/tls.pem >/dev/null || fail "X.509, $name"
done
for address in 127.0.0.1 ::1; do
    openssl verify -x509_strict -CAfile lab/trust/x509-root.pem -purpose sslserver \
        -verify_ip $address lab/ra/tls.pem >/dev/null || fail "X.509, $address"
done
! openssl verify -CAfile lab/trust/x509-root.pem -verify_hostname example.com lab/ra/tls.pem \
    >/dev/null 2>&1 || fail "X.509 for any host"

# What is there to download: zip files, and whose they are.
expect 0 "$dot2hsm" ra files list --config lab/ra.conf --json
python3 - <<'PYTHON'
import glob, json, os, subprocess, zipfile
files = json.load(open("out"))
names = {os.path.basename(path) for path in glob.glob("lab/ra/download/*")}
assert {f["filename"] for f in files} == names and len(names) == 2, (files, names)
for name in names:
    archive = zipfile.ZipFile("lab/ra/download/" + name)
    assert archive.testzip() is None
    assert archive.namelist() == [name[:-4]], archive.namelist()
PYTHON
expect 0 "$dot2hsm" ra blacklist list --config lab/ra.conf

# The configurations work: the RA starts with them, and gives the chain file.
{
    sed 's/^port = .*/port = 0/' lab/ra.conf
    echo "port-file = $work/ra.port"
} >ra.conf
"$BUILD_DIR/bin/dot2hsm-ra" ra.conf >ra.log 2>&1 &
ra=$!
trap 'status=$?; kill $ra 2>/dev/null || true; wait; rm -rf "$work"; exit $status' EXIT
for _ in $(seq 200); do
    [ ! -s ra.port ] && kill -0 $ra 2>/dev/null || break
    sleep 0.05
done
[ -s ra.port ] || { cat ra.log >&2; fail "the RA did not start"; }
port=$(cat ra.port)
expect 0 curl -sf --cacert lab/trust/x509-root.pem --resolve "localhost:$port:127.0.0.1" \
    -o chain "https://localhost:$port/download/local-certificate-chain"
same chain lab/ra/local_certificate_chains_01_01.oer
expect 0 curl -sf --cacert lab/trust/x509-root.pem --resolve "localhost:$port:127.0.0.1" \
    -o policy "https://localhost:$port/download/policy/local"
same policy lab/ra/local_policy_01.oer
# And so do the devices': each gets its own file, and not the other's.
rse_file=$(basename lab/ra/download/????????????????.zip)
obe_file=$(basename lab/ra/download/*_0.zip)
for device in rse obe; do
    sed "s/^ra-url = .*/ra-url = https:\/\/localhost:$port/" lab/$device.conf >$device.conf
done
expect 0 "$dot2hsm" ee download --config rse.conf --resolve "localhost:$port:127.0.0.1" \
    --out rse.zip "$rse_file"
same rse.zip "lab/ra/download/$rse_file"
expect 0 "$dot2hsm" ee download --config obe.conf --resolve "localhost:$port:127.0.0.1" \
    --service batch --out obe.zip "$obe_file"
same obe.zip "lab/ra/download/$obe_file"
expect 1 "$dot2hsm" ee download --config obe.conf --resolve "localhost:$port:127.0.0.1" \
    --out never.zip "$rse_file"
[ ! -e never.zip ] || fail "another device's file"
kill -TERM $ra
wait $ra || fail "the RA ended with $?"
trap 'status=$?; rm -rf "$work"; exit $status' EXIT

# Not twice, unless it is wanted; then other keys.
before=$("$dot2hsm" hash lab/rse/enrollment.oer)
expect 1 "$dot2hsm" lab init lab
says err "is not empty"
one_error
expect 1 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra lab3
says err "--force"
# What a run that fails has made in the token goes with it; what was there stays.
ra_token=(--module "$module" --pin-source "file:$work/ra.pin")
expect 0 "$dot2hsm" keys delete "${ra_token[@]}" --yes 'pkcs11:token=ra;object=ra-tls'
"$dot2hsm" keys list "${ra_token[@]}" pkcs11:token=ra >keys.before
expect 1 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra lab3
"$dot2hsm" keys list "${ra_token[@]}" pkcs11:token=ra >keys.after
same keys.before keys.after
# A lab that was not finished is replaced without being asked.
expect 0 "$dot2hsm" lab init lab3
expect 1 "$dot2hsm" lab init lab3
expect 0 "$dot2hsm" verify --root lab3/trust/root.oer --cert lab3/trust lab3/rse/enrollment.oer
expect 0 "$dot2hsm" lab init --force --module "$module" --pin-source "file:$work/%s.pin" \
    --ra-token pkcs11:token=ra --rse-token pkcs11:token=rse --json lab
python3 -m json.tool <out >/dev/null || fail "not JSON"
[ "$("$dot2hsm" hash lab/rse/enrollment.oer)" != "$before" ] || fail "the same certificate"
expect 0 "$dot2hsm" sign --config lab/ee.conf --signer lab/rse/enrollment.oer \
    --key 'pkcs11:token=rse;object=enrollment' time32
# --force replaces a lab and nothing else.
mkdir precious
echo precious >precious/file
expect 1 "$dot2hsm" lab init --force precious
says err "not a lab"
[ "$(cat precious/file)" = precious ] || fail "something precious is gone"

# Without tokens; with a file, a host name and a port of one's own.
head -c 1000 /dev/urandom >mine
expect 0 "$dot2hsm" lab init --file mine --host ra.example.test --port 9999 software
rse_file=$("$dot2hsm" ra files list --config software/ra.conf | awk '!/_0.zip/ { print $1 }')
same mine "software/ra/download/$rse_file"
grep -q "ra-url = https://ra.example.test:9999" software/ee.conf || fail "the URL"
openssl verify -CAfile software/trust/x509-root.pem -verify_hostname ra.example.test \
    software/ra/tls.pem >/dev/null || fail "X.509, --host"
expect 0 "$dot2hsm" sign --signer software/rse/enrollment.oer --key software/rse/enrollment.key time32
expect 0 "$dot2hsm" sign --signer software/trust/ra.oer --key software/ra/sign.key time32

# Mistakes.
expect 2 "$dot2hsm" lab init
expect 2 "$dot2hsm" lab init --ra-token pkcs11:token=ra x
says err "--module is missing"
expect 2 "$dot2hsm" lab init --module "$module" x
expect 2 "$dot2hsm" lab init --port 0x10 x
expect 2 "$dot2hsm" lab init --host 'a,DNS:b' x
expect 3 "$dot2hsm" lab init --module /nothing.so --ra-token pkcs11:token=ra x1
expect 3 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/ra.pin" \
    --ra-token pkcs11:token=none x2
expect 2 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/nothing" \
    --rse-token pkcs11:token=rse x3
expect 2 "$dot2hsm" lab init --module "$module" --pin-source "file:$work/%s.pin" \
    --rse-token pkcs11:manufacturer=SoftHSM x4
expect 2 "$dot2hsm" lab
expect 0 "$dot2hsm" lab init --help
says out "TESTS AND DEMONSTRATIONS ONLY"

done_testing
