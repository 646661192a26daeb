#!/usr/bin/env bash
# Completion in bash: the function as bash calls it, for the programs that are built.
. "$(dirname "$0")/lib.sh"
PATH=$BUILD_DIR/bin:$PATH
. "$SOURCE_DIR/packaging/completion.bash"
# compopt is for a completion that bash runs: here its calls are kept.
compopt() { kept+=" $*"; }

# complete_ WORD...: what the function answers when the last word is being typed; sorted, in reply.
complete_() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=(stale)
    kept=
    _dot2hsm "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    reply=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
    reply=${reply% }
}
# is EXPECTED WORD...
is() {
    local expected=$1
    shift
    complete_ "$@"
    [ "$reply" = "$expected" ] || fail "$*: \"$reply\" instead of \"$expected\""
    checks=$((checks + 1))
}
# has WORD... : EXPECTED...: these are among the answers.
has() {
    local words=() one
    while [ "$1" != : ]; do
        words+=("$1")
        shift
    done
    shift
    complete_ "${words[@]}"
    for one in "$@"; do
        [[ " $reply " == *" $one "* ]] || fail "${words[*]}: no $one in \"$reply\""
        checks=$((checks + 1))
    done
}

# Both programs have it.
[[ $(complete -p dot2hsm) == *"-F _dot2hsm dot2hsm" ]] || fail "dot2hsm has no completion"
[[ $(complete -p dot2hsm-ra) == *"-F _dot2hsm dot2hsm-ra" ]] || fail "dot2hsm-ra has no completion"

# Commands, of all levels.
# shellcheck disable=SC2046
has dot2hsm "" : $("$dot2hsm" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
is doctor dot2hsm do
is "keys" dot2hsm k
is "delete generate list" dot2hsm keys ""
is "sign status sync" dot2hsm ee s
is "blacklist" dot2hsm ra bl
is "add list remove" dot2hsm ra blacklist ""
is "" dot2hsm nonsense ""
is "" dot2hsm nonsense keys ""
is "" no-such-program-$$ ""

# Options, of the command that they stand after.
has dot2hsm keys generate -- : --curve --usage --module --pin-source --help
is "--curve" dot2hsm keys generate --cu
is "--out" dot2hsm ee download --ou
has dot2hsm ra blacklist add --c : --comment --config
has dot2hsm-ra -- : --check --help --version
is "--check" dot2hsm-ra --ch
is "" dot2hsm keys generate --nonsense

# Where a file may stand, bash completes it itself; elsewhere it does not.
for words in "verify " "keys generate --module " "keys generate --config " "ee download --out x"; do
    # shellcheck disable=SC2086
    complete_ dot2hsm ${words% *} "${words##* }"
    [ -z "$reply$kept" ] || fail "$words: $reply$kept"
    checks=$((checks + 1))
done
for words in "keys generate --curve " "ee sync --token " "keys "; do
    # shellcheck disable=SC2086
    complete_ dot2hsm ${words% *} "${words##* }"
    [[ $kept == *"+o default"* ]] || fail "$words: files would be offered"
    checks=$((checks + 1))
done
is "" dot2hsm keys generate --module = /usr

# A word that is no command is not run: nothing but --help of what --help lists.
cat >spy <<'SPY'
#!/bin/sh
echo "$*" >>"$SPY_LOG"
exec "$SPY_PROGRAM" "$@"
SPY
chmod 700 spy
export SPY_LOG=$work/spy.log SPY_PROGRAM=$dot2hsm
complete_ ./spy keys delete 'pkcs11:token=x;object=y' --ye
[ "$reply" = --yes ] || fail "./spy: $reply"
# shellcheck disable=SC2016
complete_ ./spy keys '$(touch run)' ""
[ ! -e run ] || fail "a word was run"
! grep -v -- '--help$' spy.log || fail "it was run without --help"
! grep -q 'token=x' spy.log || fail "an argument was passed on"
done_testing
