"""`provctl completion`: the script that makes a shell complete provctl's words.

What a script asks, and what it is answered: `cli/completion/shells.py`. None of them evaluates
any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from provctl.cli.session import Session


# Bash 4.4 and newer; older ones sort, and put a space behind `name=`.
_BASH = r"""# bash completion for provctl
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
"""

_ZSH = r"""#compdef provctl
_provctl() {
    local -a lines words_so_far
    words_so_far=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    lines=("${(@f)$(
        _PROVCTL_COMPLETE=zsh _PROVCTL_WORDS="${(pj:\x1f:)words_so_far}" \
        command provctl 2>/dev/null
    )}")
    local rest=$lines[1] found=1
    shift lines
    if (( $#lines )); then
        local -a how
        [[ $rest == open ]] && how=(-S '')
        _describe -V -t provctl provctl lines "${how[@]}" && found=0
    fi
    if [[ $rest == (file|dir) ]]; then
        compset -P '--*='
        [[ $rest == dir ]] && _path_files -/ && found=0
        [[ $rest == file ]] && _path_files && found=0
    fi
    return found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _provctl "$@"
else
    compdef _provctl provctl
fi
"""

_FISH = r"""# fish completion for provctl
function __provctl_complete
    set -lx _PROVCTL_COMPLETE fish
    set -lx _PROVCTL_WORDS (string join \x1f -- (commandline -opc) (commandline -ct))
    set -l lines (command provctl 2>/dev/null)
    set -l rest $lines[1]
    set -e lines[1]
    if set -q lines[1]
        printf '%s\n' $lines
    end
    if contains -- "$rest" file dir
        set -l typed (commandline -ct)
        set -l flag (string match -r -- '^--[^=]*=' $typed)
        set -l path (string replace -r -- '^--[^=]*=' '' $typed)
        if test "$rest" = dir
            __fish_complete_directories "$path" '' | string replace -r '^' -- "$flag"
        else
            __fish_complete_path "$path" | string replace -r '^' -- "$flag"
        end
    end
end
complete --command provctl --no-files --keep-order --arguments '(__provctl_complete)'
"""

# A completer for all words of one command (Nushell 0.108 and newer), so that the
# completer for external commands stays whoever's it is.
_NU = r"""# Nushell completion for provctl
def "nu-complete provctl" [words: list<string>] {
    let asked = {
        _PROVCTL_COMPLETE: nu
        _PROVCTL_WORDS: ($words | str join (char unit_separator))
    }
    let answer = with-env $asked { ^provctl | complete | get stdout }
    if ($answer | is-empty) { [] } else { $answer | from json }
}

@complete "nu-complete provctl"
export extern provctl []
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "nu": _NU}


@click.command()
@click.argument("shell", type=click.Choice([*SCRIPTS]))
@click.pass_obj
def completion(session: Session, shell: str) -> None:
    """Print a completion script for SHELL, for the name that provctl was called by.

    Save it where the shell looks for completions, or load it now:

    \b
    bash   eval "$(provctl completion bash)"
    zsh    eval "$(provctl completion zsh)", after compinit
    fish   provctl completion fish | source
    nu     provctl completion nu | save -f ($nu.user-autoload-dirs.0 | path join provctl.nu)
    """
    click.echo(SCRIPTS[shell].replace("provctl", session.called.name), nl=False)
