# Completion of dot2hsm(1) and dot2hsm-ra(8) for bash. Commands and options come from --help, which
# is what the installed program knows.

# _dot2hsm_matches CUR WORD...: those that begin with CUR, as the answer.
_dot2hsm_matches() {
    local cur=$1 word
    shift
    for word in "$@"; do
        # An option may stand in the text in two forms.
        [[ $word != "$cur"* || " ${COMPREPLY[*]} " == *" $word "* ]] || COMPREPLY+=("$word")
    done
}

_dot2hsm() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local program=${COMP_WORDS[0]/#\~/$HOME} help commands options line i
    local -a path=()

    COMPREPLY=()
    # bash may have split --option=value at its "=".
    if [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == = ]]; then
        cur=
    fi
    # Down to the command whose words these are. Nothing but the names that --help lists is run.
    for ((i = 1; ; i++)); do
        help=$("$program" "${path[@]}" --help 2>/dev/null </dev/null) || return 0
        commands=$(sed -n '/^Commands:$/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
        ((i < COMP_CWORD)) || break
        grep -qxF -- "${COMP_WORDS[i]}" <<<"$commands" || break
        path+=("${COMP_WORDS[i]}")
    done
    # The value of an option: "--out FILE" in the text says what it is.
    if [[ $prev == --* ]]; then
        line=$(grep -oE -m 1 -- "^ +(-[a-zA-Z], )?$prev [A-Z|:]+" <<<"$help" | head -n 1)
        case ${line##* } in
        '') ;;
        *FILE* | *PATH* | *DIR* | CERT* | WHAT) return 0 ;; # files, which bash completes itself
        *)
            compopt +o default +o bashdefault 2>/dev/null
            return 0
            ;;
        esac
    fi
    if [[ $cur == -* ]]; then
        options=$(grep -oE -- '^ +(-[a-zA-Z], )?--[a-z0-9-]+' <<<"$help" | grep -oE -- '--.*')
        # shellcheck disable=SC2086
        _dot2hsm_matches "$cur" $options
    elif [[ -n $commands ]]; then
        compopt +o default +o bashdefault 2>/dev/null
        # shellcheck disable=SC2086
        ((i < COMP_CWORD)) || _dot2hsm_matches "$cur" $commands
    fi
}

complete -o bashdefault -o default -F _dot2hsm dot2hsm dot2hsm-ra
