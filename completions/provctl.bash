# bash completion for provctl
_provctl_completion() {
    local rest="" line
    COMPREPLY=()
    {
        IFS= read -r rest
        while IFS= read -r line || [ -n "$line" ]; do COMPREPLY+=("$line"); done
    } <<< "$(
        _PROVCTL_COMPLETE=bash _PROVCTL_WORDS="${COMP_LINE:0:COMP_POINT}" \
        _PROVCTL_BREAKS=$COMP_WORDBREAKS _PROVCTL_TYPE=$COMP_TYPE \
        _PROVCTL_COLUMNS=$COLUMNS "$1" 2>/dev/null
    )"
    case $rest in
        file) compopt -o default ;;
        dir) compopt -o dirnames ;;
        open) compopt -o nospace ;;
    esac 2>/dev/null
}
complete -o nosort -F _provctl_completion provctl 2>/dev/null ||
    complete -F _provctl_completion provctl
