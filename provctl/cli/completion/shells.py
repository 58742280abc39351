"""How each shell asks for completions, and the format of the response.

The script of a shell sets `_PROVCTL_COMPLETE` to the shell's name and `_PROVCTL_WORDS`
to the text up to the cursor: its words with a unit separator between them. bash splits
words its own way, so it sends the whole line. No script evaluates the response. click's
own scripts do, show no descriptions in bash, and put a space after `name=`.

The response to all shells except Nushell starts with a line about other completions:
`file`, `dir`, or `open` if no space follows the word. Then come the offers. Everything
in an offer is data: it is escaped here for what the shell does with it.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence, Tuple, Type

from click.shell_completion import CompletionItem, ShellComplete

from provctl.base.cell_width import truncate_to_width, width_of
from provctl.base.text import plain

COMPLETE_VAR = "_PROVCTL_COMPLETE"
_SEPARATOR = "\x1f"
_BARE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
)
# Keys that insert all words into the line, one after the other.
_INSERTS = ("37", "42")  # COMP_TYPE: the characters % and *


class _Shell(ShellComplete):
    """One request of a shell: the words so far; the last one is to be completed."""

    words: List[str]

    def answer(self, offers: Sequence[CompletionItem], rest: str) -> str:
        """Return the response for the shell."""
        raise NotImplementedError

    def get_completion_args(self) -> Tuple[List[str], str]:
        """Return the words after the program without the last one, and the last one."""
        args = [_expand_user(word) for word in self.words[1:-1]]
        typed = self.words[-1] if len(self.words) > 1 else ""
        if args and args[-1][:1] == "-" and args[-1] != "--" and typed[:1] != "-":
            # An option without its value would end the parsing, and the rest
            # of the line would be unknown. With a = click separates the two itself.
            return args[:-1], f"{args[-1]}={typed}"
        return args, typed

    def complete(self) -> str:
        """Return the response for the shell; empty if there are no completions."""
        items = self.get_completions(*self.get_completion_args())
        flag, equals, _ = self.words[-1].partition("=")
        # For `--from=we` click completes the text after the =, and shells the whole.
        ahead = f"{flag}=" if equals and flag.startswith("-") else ""
        offers = {
            item.value: CompletionItem(f"{ahead}{item.value}", help=item.help)
            for item in items
            # A word must not contain control characters.
            if item.type == "plain" and item.value.isprintable()
        }
        rest = next((item.type for item in items if item.type in ("file", "dir")), "")
        if offers and all(value.endswith("=") for value in offers):
            rest = "open"
        return self.answer([*offers.values()], rest) if offers or rest else ""


class Bash(_Shell):
    """The line as it was typed, because bash replaces only a part of a word."""

    name = "bash"
    # Bash 4.4 and newer; older ones sort, and put a space after `name=`.
    source_template = r"""# bash completion for %(prog_name)s
%(complete_func)s() {
    local rest="" line
    COMPREPLY=()
    {
        IFS= read -r rest
        while IFS= read -r line || [ -n "$line" ]; do COMPREPLY+=("$line"); done
    } <<< "$(
        %(complete_var)s=bash _PROVCTL_WORDS="${COMP_LINE:0:COMP_POINT}" \
        _PROVCTL_BREAKS=$COMP_WORDBREAKS _PROVCTL_TYPE=$COMP_TYPE \
        _PROVCTL_COLUMNS=$COLUMNS "$1" 2>/dev/null
    )"
    case $rest in
        file) compopt -o default ;;
        dir) compopt -o dirnames ;;
        open) compopt -o nospace ;;
    esac 2>/dev/null
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        breaks = os.environ.get("_PROVCTL_BREAKS", " \t\n\"'@><=;|&(:")
        line = os.environ.get("_PROVCTL_WORDS", "")
        self.words, self._kept, self._quote = _split(line, breaks)
        self._columns = _number(os.environ.get("_PROVCTL_COLUMNS", ""), 80)
        self._inserts = os.environ.get("_PROVCTL_TYPE") in _INSERTS

    def answer(self, offers: Sequence[CompletionItem], rest: str) -> str:
        """One line per offer: the text that replaces the end of the word.

        If there are several, bash inserts only their common prefix, so each line has
        room for a description.
        """
        words = [self._quoted(offer.value[self._kept :]) for offer in offers]
        if len(words) == 1 or self._inserts or not any(o.help for o in offers):
            return "\n".join([rest, *words])
        width = max(map(width_of, words))
        lines = [rest]
        for word, offer in zip(words, offers):
            gap = " " * (width - width_of(word))
            about = f"{gap}  ({_about(offer)})" if offer.help else ""
            room = self._columns - width_of(word) - 1
            lines.append(f"{word}{truncate_to_width(about, room, mark='')}")
        return "\n".join(lines)

    def _quoted(self, text: str) -> str:
        if self._quote == "'":
            return text.replace("'", "'\\''")
        if self._quote == '"':
            # Even a quoted ! would be expanded from the history.
            special = {**{c: f"\\{c}" for c in '\\"$`'}, "!": "\"'!'\""}
            return "".join(special.get(char, char) for char in text)
        if _BARE.issuperset(text):
            return text
        return "".join(
            char if char in _BARE or ord(char) > 127 else f"\\{char}" for char in text
        )


class Zsh(_Shell):
    """Words without their quotes; zsh quotes what it inserts."""

    name = "zsh"
    source_template = r"""#compdef %(prog_name)s
_%(prog_name)s() {
    local -a lines words_so_far
    words_so_far=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    lines=("${(@f)$(
        %(complete_var)s=zsh _PROVCTL_WORDS="${(pj:\x1f:)words_so_far}" \
        command %(prog_name)s 2>/dev/null
    )}")
    local rest=$lines[1] found=1
    shift lines
    if (( $#lines )); then
        local -a how
        [[ $rest == open ]] && how=(-S '')
        _describe -V -t %(prog_name)s %(prog_name)s lines "${how[@]}" && found=0
    fi
    if [[ $rest == (file|dir) ]]; then
        compset -P '--*='
        [[ $rest == dir ]] && _path_files -/ && found=0
        [[ $rest == file ]] && _path_files && found=0
    fi
    return found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _%(prog_name)s "$@"
else
    compdef _%(prog_name)s %(prog_name)s
fi
"""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.words = _words()

    def answer(self, offers: Sequence[CompletionItem], rest: str) -> str:
        """One line per offer, as `_describe` reads it: word, colon, description."""
        lines = [rest]
        for offer in offers:
            word = offer.value.replace("\\", "\\\\").replace(":", "\\:")
            about = _about(offer).replace("\\", "\\\\")
            lines.append(f"{word}:{about}" if about else word)
        return "\n".join(lines)


class Fish(_Shell):
    """Words without quotes except for the last; fish quotes what it inserts."""

    name = "fish"
    source_template = r"""# fish completion for %(prog_name)s
function %(complete_func)s
    set -lx %(complete_var)s fish
    set -lx _PROVCTL_WORDS (string join \x1f -- (commandline -opc) (commandline -ct))
    set -l lines (command %(prog_name)s 2>/dev/null)
    set -l rest $lines[1]
    set -e lines[1]
    if set -q lines[1]
        printf '%%s\n' $lines
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
complete --command %(prog_name)s --no-files --keep-order --arguments '(%(complete_func)s)'
"""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        *words, last = _words() or [""]
        self.words = [*words, _split(f" {last}", "")[0][-1]]

    def answer(self, offers: Sequence[CompletionItem], rest: str) -> str:
        """One line per offer: word, tab, description."""
        lines = (f"{offer.value}\t{_about(offer)}" for offer in offers)
        return "\n".join([rest, *lines])


class Nu(_Shell):
    """Words as they were typed. Nushell inserts offers as they are: quoted here."""

    name = "nu"
    # A completer for all words of one command (Nushell 0.108 and newer), so that the
    # completer for other external commands is not replaced.
    source_template = r"""# Nushell completion for %(prog_name)s
def "nu-complete %(prog_name)s" [words: list<string>] {
    let asked = {
        %(complete_var)s: nu
        _PROVCTL_WORDS: ($words | str join (char unit_separator))
    }
    let answer = with-env $asked { ^%(prog_name)s | complete | get stdout }
    if ($answer | is-empty) { [] } else { $answer | from json }
}

@complete "nu-complete %(prog_name)s"
export extern %(prog_name)s []
"""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.words = [_unquoted(word) for word in _words()]

    def answer(self, offers: Sequence[CompletionItem], rest: str) -> str:
        """A list of records as JSON; null, if files are to be completed."""
        import json

        if rest in ("file", "dir") and not offers:
            return "null"
        return json.dumps(
            [
                {"value": _nu_word(offer.value), "description": _about(offer)}
                for offer in offers
            ]
        )


SHELLS: Dict[str, Type[_Shell]] = {each.name: each for each in (Bash, Zsh, Fish, Nu)}


def _about(offer: CompletionItem) -> str:
    return plain(offer.help or "")


def _expand_user(word: str) -> str:
    return os.path.expanduser(word) if word.startswith("~") else word  # noqa: PTH111


def _words() -> List[str]:
    return os.environ.get("_PROVCTL_WORDS", "").split(_SEPARATOR)


def _split(line: str, breaks: str) -> Tuple[List[str], int, str]:
    """Return the words of a line without quotes; the last one is incomplete.

    Also return how many of its characters bash keeps, because it completes only the
    text after the last quote or word break; and the quote that is still open.
    """
    words: List[str] = []
    word: List[str] = []
    in_word, escaped, quote, kept = False, False, "", 0
    for char in line:
        if escaped:
            if quote and char not in '$`"\\\n':
                word.append("\\")
            word.append(char)
            escaped = False
        elif char == "\\" and quote != "'":
            in_word = escaped = True
        elif char == quote or (char in "'\"" and not quote):
            in_word, quote, kept = True, "" if quote else char, len(word)
        elif char in " \t\n" and not quote:
            if in_word:
                words.append("".join(word))
            word, in_word, kept = [], False, 0
        else:
            word.append(char)
            in_word = True
            if char in breaks and not quote:
                # readline keeps these two in the text that it completes.
                kept = len(word) - (char in "@$")
    return [*words, "".join(word)], kept, quote


def _unquoted(word: str) -> str:
    """A Nushell word without its quotes; the closing quote may be missing."""
    quote = word[:1]
    if quote not in ("'", '"', "`") or not quote:
        return word
    inner = word[1:-1] if len(word) > 1 and word.endswith(quote) else word[1:]
    return inner.replace('\\"', '"').replace("\\\\", "\\") if quote == '"' else inner


def _nu_word(text: str) -> str:
    if text and _BARE.issuperset(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else default
