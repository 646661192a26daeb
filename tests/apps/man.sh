#!/usr/bin/env bash
# The manual pages are well formed, and know every command, key and option that the programs know.
. "$(dirname "$0")/lib.sh"
cd "$SOURCE_DIR"

for page in docs/man/*.[1-8]; do
    mandoc -T lint -W warning "$page" || fail "$page"
    checks=$((checks + 1))
done

# knows PAGE WORD...: each stands in the page as a word, macros and escapes apart.
knows() {
    local page=$1 word
    shift
    mandoc -T utf8 "docs/man/$page" | sed 's/.\x08//g;s/‐/-/g' >"$work/page"
    [ $# -gt 0 ] || fail "nothing to look for in $page"
    for word in "$@"; do
        grep -qE -- "(^|[^[:alnum:]-])$word([^[:alnum:]-]|\$)" "$work/page" ||
            fail "$page does not have $word"
        checks=$((checks + 1))
    done
}

# shellcheck disable=SC2046
knows dot2hsm.1 $("$dot2hsm" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -v version)
# Each command has its lines in the synopsis, and each of its options is in the page.
mandoc -T utf8 docs/man/dot2hsm.1 | sed 's/.\x08//g;s/‐/-/g' >"$work/page"
sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' "$work/page" >"$work/synopsis"
commands() { "$dot2hsm" "$@" --help | sed -n '/^Commands:$/,/^$/s/^  \([a-z]*\) .*/\1/p'; }
for command in $(commands); do
    for sub in $(commands "$command") ""; do
        [ -z "$sub" ] && [ -n "$(commands "$command")" ] && continue
        grep -q "^ *dot2hsm $command${sub:+ $sub}\b" "$work/synopsis" ||
            fail "dot2hsm $command $sub is not in the synopsis"
        checks=$((checks + 1))
        for leaf in $(commands "$command" $sub) ""; do
            # shellcheck disable=SC2086
            "$dot2hsm" $command $sub $leaf --help >>"$work/help"
        done
    done
done
# shellcheck disable=SC2046
knows dot2hsm.1 $(grep -oE -- '^ *(-[a-z], )?--[a-z0-9-]+' "$work/help" | grep -oE -- '--[a-z0-9-]+' | sort -u)
# What the server's log says.
# shellcheck disable=SC2046
knows dot2hsm-ra.8 $(sed -n 's/^    {RA_[A-Z_]*, "\(.*\)", .*/\1/p' protocol/ra/reason.c |
    grep -vx allowed) $(sed -n 's/^        return "\([a-z_]*\)";/\1/p' protocol/ra/http_head.c |
    grep -vx -e ok -e unknown) $(sed -n 's/.*ra_refuse(conn, "\([a-z_]*\)".*/\1/p' protocol/ra/*.c)
# shellcheck disable=SC2046
knows dot2hsm-ra.8 $(grep -oh 'event=[a-z_]*' apps/ra/*.c | sort -u) \
    $(sed -n -e 's/.*ra_conn_kill(.*, LOG_[A-Z]*, "\([a-z_]*\)".*/\1/p' \
        -e 's/.*log_closed(.*, LOG_[A-Z]*, "\([a-z_]*\)".*/\1/p' protocol/ra/*.c | sort -u)
# Keys of the tables that the programs check files with.
# shellcheck disable=SC2046
knows dot2hsm.conf.5 $(sed -n 's/^    {"ee", "\(.*\)"},$/\1/p' apps/dot2hsm/command.c)
# shellcheck disable=SC2046
knows dot2hsm-ra.8 $(sed -n 's/^    {"ra[^"]*", "\(.*\)"},$/\1/p' apps/ra/config.c)
options=$(sed -n '/ options\[\] = {/,/};/p' api/provider_conf.c | grep -o '"[a-z-]*"' | tr -d '"')
# shellcheck disable=SC2086
knows dot2hsm.conf.5 $options
# shellcheck disable=SC2086
knows dot2hsm-provider.7 $options config
# shellcheck disable=SC2046
knows dot2hsm-provider.7 $(sed -n 's/^    {"\([a-z0-9-]*\)", OPTION_.*/\1/p' provider/options.c)
done_testing
