#!/usr/bin/env bash
# The check of the floors passes on this tree, and finds a floor that looks up.
set -euo pipefail
check=$SOURCE_DIR/tests/floors.sh
bash "$check" "$SOURCE_DIR"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
for folder in asn1 pkcs11 provider protocol/dot2 protocol/scms protocol/ra protocol/ee api apps; do
    mkdir -p "$tree/$folder"
done
bash "$check" "$tree" || exit 1

expect_failure() {
    if bash "$check" "$tree" >/dev/null 2>&1; then
        echo "not noticed: $1" >&2
        exit 1
    fi
}
echo '#include "pkcs11/p11.h"' >"$tree/protocol/dot2/a.c"
expect_failure "protocol includes pkcs11"
echo '# include <../provider/provider.h>' >"$tree/protocol/dot2/a.c"
expect_failure "protocol includes provider by a relative path"
rm "$tree/protocol/dot2/a.c"
echo '#include "asn1/coer.h"' >"$tree/pkcs11/a.h"
expect_failure "pkcs11 includes asn1"
rm "$tree/pkcs11/a.h"
echo 'target_link_libraries(dot2_ra PRIVATE dot2_p11)' >"$tree/protocol/ra/CMakeLists.txt"
expect_failure "protocol links pkcs11"
