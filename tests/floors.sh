#!/usr/bin/env bash
# Floors look down only: fails when a file includes a header of a floor that it must not know, or
# when a library links one. The table is in docs/architecture.md.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
bad=0

# may_not FOLDER FLOOR...: no file of FOLDER includes a header of these floors.
may_not() {
    local folder=$1 floor
    shift
    for floor in "$@"; do
        if grep -rnE "#[[:space:]]*include[[:space:]]+[<\"]([.]{1,2}/)*$floor/" \
            --include='*.[ch]' "$folder"; then
            echo "$folder/ must not include $floor/" >&2
            bad=1
        fi
    done
}

# links_not FOLDER LIBRARY...: no CMakeLists.txt of FOLDER names these libraries.
links_not() {
    local folder=$1 library
    shift
    for library in "$@"; do
        if grep -rnwE "$library" --include=CMakeLists.txt "$folder"; then
            echo "$folder/ must not link $library" >&2
            bad=1
        fi
    done
}

may_not asn1 pkcs11 provider protocol apps
may_not pkcs11 asn1 provider protocol apps
may_not provider asn1 protocol apps
may_not protocol pkcs11 provider apps
may_not protocol/dot2 protocol/scms protocol/ra protocol/ee
may_not protocol/scms protocol/ra protocol/ee
may_not protocol/ee protocol/ra
may_not protocol/ra protocol/ee
may_not api pkcs11 provider apps
links_not api dot2_p11 dot2hsm_provider
links_not asn1 dot2_p11 dot2hsm_provider dot2_dot2 dot2_scms
links_not pkcs11 dot2_asn1 dot2_dot2 dot2_scms
links_not provider dot2_asn1 dot2_dot2 dot2_scms
links_not protocol dot2_p11 dot2hsm_provider
exit $bad
