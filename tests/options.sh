#!/usr/bin/env bash
# options.sh [ROOT]: the provider's options are named in four places, for floors look down only (the
# library speaks to the provider through OpenSSL and cannot have its table). All name the same.
set -euo pipefail
cd "${1:-${SOURCE_DIR:-$(dirname "$0")/..}}"
bad=0
table=$(sed -n 's/^    {"\([a-z0-9-]*\)", OPTION_.*/\1/p' provider/options.c | sort)
[ "$(wc -l <<<"$table")" -ge 12 ] || { echo "no table in provider/options.c" >&2; exit 1; }

# same PLACE NAMES
same() {
    diff <(printf '%s\n' "$table") <(sort -u <<<"$2") >&2 && return
    echo "$1 (>) differs from the options of provider/options.c (<)" >&2
    bad=1
}
same api/provider_conf.c "$(sed -n '/options\[\] = {/,/};/p' api/provider_conf.c |
    grep -o '"[a-z0-9-]*"' | tr -d '"')"
same apps/dot2hsm/token.c "$(grep -o 'option(conf, "[a-z0-9-]*")' apps/dot2hsm/token.c |
    cut -d'"' -f2)"
# From the first option to the parameters, which begin with dot2-signer.
same docs/man/dot2hsm-provider.7 "$(sed -n '/^\.It Ic pkcs11-module$/,/^\.It Ic dot2-signer$/p' \
    docs/man/dot2hsm-provider.7 | sed -n 's/^\.It Ic \([a-z0-9-]*\)$/\1/p' | grep -vx dot2-signer)"
exit $bad
