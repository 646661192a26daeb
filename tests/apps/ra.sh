#!/usr/bin/env bash
# dot2hsm ra blacklist, ra files and ra eca, on a store.
. "$(dirname "$0")/lib.sh"

printf '%s' 0003018001010101010101015080000002030303030303030303040404000506 \
    0606068400a983010380007c8001e48003480101000120818308080808080808 \
    08080808080808080808080808080808080808080808080808 |
    unhex >cert.oer
sha=$(sha256sum <cert.oer | cut -d' ' -f1)
[ "${sha: -16}" = 30df51cdaa1cbd36 ] || fail "not the sample certificate"
other=$(printf other | sha256sum | cut -d' ' -f1)

# A store is made by the server or by lab init, not by a wrong --store.
expect 3 "$dot2hsm" ra blacklist list --store nothing.sqlite
[ ! -e nothing.sqlite ] || fail "a store was made"
# An empty file is an empty store.
: >store.sqlite
chmod 600 store.sqlite
blacklist() {
    local verb=$1
    shift
    "$dot2hsm" ra blacklist "$verb" --store "$work/store.sqlite" "$@"
}
files() {
    local verb=$1
    shift
    "$dot2hsm" ra files "$verb" --store "sqlite:$work/store.sqlite" "$@"
}

expect 0 blacklist list
[ ! -s out ] || fail "not empty"
expect 0 blacklist list --json
[ "$(python3 -c 'import json; print(json.load(open("out")))')" = "[]" ] || fail "not []"

# By certificate file, in any form; by each of the hashes.
expect 0 blacklist add --comment 'stolen "tool box"' cert.oer
says out "blacklisted SHA-256 $sha"
expect 1 blacklist add cert.oer
says err "is on the list already"
base64 <cert.oer >cert.b64
expect 1 blacklist add cert.b64
expect 0 blacklist add "${sha: -16}"
says out "HashedId8 ${sha: -16}"
expect 0 blacklist add "${sha: -20}"
says out "HashedId10 ${sha: -20}"
expect 0 blacklist add "$(echo "$other" | tr a-f A-F)"
says out "SHA-256 $other"
expect 0 blacklist list
[ "$(wc -l <out)" -eq 4 ] || fail "not four entries"
says out 'stolen "tool box"'
expect 0 blacklist list --json
python3 - "$sha" <<'PYTHON'
import json, sys
entries = json.load(open("out"))
assert [e["kind"] for e in entries] == ["SHA-256", "HashedId8", "HashedId10", "SHA-256"], entries
assert entries[0]["id"] == sys.argv[1] and entries[0]["comment"] == 'stolen "tool box"'
assert all(e["added"].endswith("Z") for e in entries)
PYTHON
# A file whose name could be a hash is named with a directory.
cp cert.oer 0011223344556677
expect 0 blacklist remove cert.oer
says out "removed SHA-256 $sha"
expect 1 blacklist remove ./0011223344556677
says err "is not on the list"
expect 0 blacklist remove "${sha: -16}"
expect 0 blacklist remove "${sha: -20}"
expect 0 blacklist remove "$other"
expect 0 blacklist list
[ ! -s out ] || fail "not empty again"

# What is neither.
expect 1 blacklist add nothing.oer
expect 1 blacklist add 00112233
printf 'not a certificate' >words
expect 1 blacklist add words
one_error
expect 2 blacklist add --comment "$(printf 'x%.0s' $(seq 128))" cert.oer
expect 2 blacklist add
expect 2 blacklist add cert.oer cert.oer
expect 2 "$dot2hsm" ra blacklist add cert.oer
says err "one of --store SPEC and --config FILE"
expect 2 "$dot2hsm" ra blacklist add --store a --config b cert.oer
expect 2 blacklist list --comment x
expect 2 blacklist add --json cert.oer
says err "--json has no meaning here"
expect 2 "$dot2hsm" ra blacklist clear
expect 2 "$dot2hsm" ra
expect 0 "$dot2hsm" ra --help
expect 0 "$dot2hsm" ra blacklist add --help
says out "Usage: dot2hsm ra blacklist add"

# The store by the server's configuration.
printf '[ra]\nstore = sqlite:%s\n' "$work/store.sqlite" >ra.conf
expect 0 "$dot2hsm" ra blacklist add --config ra.conf cert.oer
expect 0 blacklist remove "$sha"
printf '[ra]\nport = 1\n' >none.conf
expect 2 "$dot2hsm" ra blacklist list --config none.conf
says err "has no [ra] store"
expect 2 "$dot2hsm" ra blacklist list --config nothing.conf

# Whose file is which.
expect 0 files assign AB09281C9867DE53.zip cert.oer
says out "AB09281C9867DE53.zip belongs to $sha"
expect 1 files assign ab09281c9867de53.ZIP "$other"
says err "assigned already"
expect 0 files assign AB09281C9867DE53_F.zip "$other"
expect 0 files assign 00000000000000ff.info "$other"
expect 0 files list
[ "$(wc -l <out)" -eq 3 ] || fail "not three files"
expect 0 files list --json
python3 - "$sha" <<'PYTHON'
import json, sys
files = {f["filename"].upper(): f["requester"] for f in json.load(open("out"))}
assert files["AB09281C9867DE53.ZIP"] == sys.argv[1], files
PYTHON
expect 0 files unassign ab09281c9867de53.zip
expect 1 files unassign AB09281C9867DE53.zip
says err "is not assigned"
for name in ../../etc/passwd AB09281C9867DE5.zip AB09281C9867DE53.tar AB09281C9867DE53_.zip \
    AB09281C9867DE53_123456789.zip ' AB09281C9867DE53.zip' AB09281C9867DE53.zip/; do
    expect 2 files assign "$name" cert.oer
    says err "is not a name that a download has"
done
expect 2 files assign AB09281C9867DE53.zip 30df51cdaa1cbd36
says err "whole hash"

# Whose devices are served.
eca() {
    local verb=$1
    shift
    "$dot2hsm" ra eca "$verb" --store "$work/store.sqlite" "$@"
}
expect 0 eca list
[ ! -s out ] || fail "not empty"
expect 0 eca add --comment "the state's" cert.oer
says out "served HashedId8 ${sha: -16}"
expect 1 eca add "${sha: -16}"
says err "is on the list already"
expect 0 eca add "${other: -16}"
expect 0 eca list --json
python3 - "${sha: -16}" "${other: -16}" <<'PYTHON'
import json, sys
entries = json.load(open("out"))
assert sorted(e["HashedId8"] for e in entries) == sorted(sys.argv[1:]), entries
assert {e["comment"] for e in entries} == {"the state's", ""}, entries
PYTHON
expect 0 eca remove cert.oer
expect 1 eca remove cert.oer
says err "is not on the list"
expect 0 eca list
[ "$(cat out)" = "${other: -16}  " ] || fail "not the one that is left"
expect 1 eca add words
expect 2 eca add --comment "$(printf 'x%.0s' $(seq 128))" cert.oer
expect 2 eca list extra

# A store that is none.
head -c 4096 /dev/urandom >broken.sqlite
expect 3 "$dot2hsm" ra files list --store broken.sqlite
expect 3 "$dot2hsm" ra files list --store /nowhere/at/all.sqlite

done_testing
