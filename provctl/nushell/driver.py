"""Owns how `nu` is started for one attempt: arguments, environment, driver text.

The driver text is constant but for paths (generated literals) and names that
were checked; values travel as JSON. What a task returns reaches the output file
as JSON, its stdout and stderr are its log.

Nushell 0.114 or newer is needed: earlier ones ignore the `display_output` hook
in `nu -c`, the one way to get at a value without capturing the stdout of a
program that the task ends with.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from provctl.nushell.library import module_needs_std, script_needs_std
from provctl.nushell.names import check_command, check_flag, module_path, nu_literal
from provctl.nushell.payload import check_text, encode_payload
from provctl.nushell.types import conversion

__all__ = [
    "Invocation",
    "Values",
    "call_invocation",
    "direct_invocation",
    "script_invocation",
]

_MAX_ENV_BYTES = 96 * 1024  # Linux refuses a variable or argument above 128 KiB

# Without a terminal `nu` runs `tput` four times to learn its size, a third of
# its start. /dev/null is never a directory, so no program is found in it.
_NO_PROGRAMS = "/dev/null"

# NU_LIB_DIRS is a constant here, and not only in the environment, because there a
# colon would split it. The last line is blank because an error message shows the
# line before the one it blames. PATH comes as a list with the values: `split row`
# would cost half a millisecond.
_PRELUDE = """\
const NU_LIB_DIRS = [{library}]
let {variable} = ({read} | from json)
hide-env {carrier}
$env.PATH = ${variable}.path
let {variable} = ${variable}.given
{hook}

"""

# What is done with the value that comes out. The first `let` collects it outside the
# `try`, since an error in a lazy pipeline is the task's own; the one inside makes
# `to json` fail there.
_HOOK = """\
$env.config.hooks.display_output = {||
    let result = $in
    if $result != null {
        let text = try { let text = (RENDERED); $text } catch {|err|
            let why = ($err.details?.labels?.0?.text? | default $err.msg)
            error make --unspanned {msg: $"the returned value cannot become JSON: ($why)"}
        }
        $text SENT
    }
}"""


def _hook(rendered: str, sent: str) -> str:
    return _HOOK.replace("RENDERED", rendered).replace("SENT", sent)


_RETURN = _hook(
    "$result | to json --raw", "| save --raw --force $env.PROVCTL_OUTPUT_FILE"
)
_APPENDED = "| $in + (char newline) | save --raw --append"
_ROWS = "if ($result | describe) =~ '^(list|table)' { $result } else { [$result] }"
_LINES = f"{_ROWS} | each {{|row| ROW }} | str join (char newline)"
_FORMS = {
    # Not the indented form where it would be none: control characters stay in it.
    "json": "let text = ($result | to json);"
    " if $text =~ '[\\x01-\\x09\\x0b-\\x1f]' { $result | to json --raw } else { $text }",
    "jsonl": _LINES.replace("ROW", "$row | to json --raw"),
    "name": _LINES.replace(
        "ROW",
        "let name = (try { $row.name } catch { try { $row.id } catch { $row } });"
        " if ($name | describe) == string { $name } else { $name | to json --raw }",
    ),
}
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Values(NamedTuple):
    """What a command is called with.

    `into` names the types of values that JSON does not have, see `core.model`.
    """

    args: Sequence[Any] = ()
    flags: Mapping[str, Any] = _NOTHING
    into: Mapping[str, str] = _NOTHING


class Invocation(NamedTuple):
    """How to start one attempt.

    `env` is the whole environment. `input`, unless None, is what the file at
    `input_path` (mode 0600) must hold before the start.
    """

    argv: Tuple[str, ...]
    env: Mapping[str, str]
    input: Optional[bytes]


def call_invocation(
    *,
    nu: str,
    library: str,
    module: str,
    command: str,
    args: Sequence[Any],
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    input_path: str,
    output_path: str,
    into: Mapping[str, str] = _NOTHING,
) -> Invocation:
    """Return how to run `command` of `module`, a path below `library`.

    A flag whose value is null is left out. The command "main" is the module's
    own. `into` names the types of values that JSON does not have, see `core.model`.
    Raises UsageProblem for a name or value that cannot be given to Nushell.
    """
    return _call_invocation(
        module,
        command,
        Values(args, flags, into),
        nu=nu,
        std=module_needs_std(Path(library), module),
        library=library,
        env={**env, "PROVCTL_OUTPUT_FILE": output_path},
        input_path=input_path,
        hook=_RETURN,
    )


def direct_invocation(
    module: str,
    command: str,
    values: Values,
    *,
    nu: str,
    std: bool,
    library: str,
    env: Mapping[str, str],
    input_path: str,
    output: str,
    output_path: Optional[str],
) -> Invocation:
    """Return how to make a call whose result is printed.

    `std`: the module needs the standard library. The result is printed as Nushell's own table, or as `output` says: "table", "json",
    "jsonl" or "name"; then it goes to the end of the file `output_path`, if there is
    one. Raises UsageProblem like `call_invocation`.
    """
    form = _FORMS.get(output)
    sent = "" if output_path is None else f"{_APPENDED} {nu_literal(output_path)}"
    return _call_invocation(
        module,
        command,
        values,
        nu=nu,
        std=std,
        library=library,
        env=env,
        input_path=input_path,
        hook="" if form is None else _hook(form, sent),
    )


def _call_invocation(
    module: str, command: str, values: Values, **how: Any
) -> Invocation:
    library, env = how["library"], how["env"]
    flags = {name: value for name, value in values.flags.items() if value is not None}
    given = values._replace(flags=flags)
    return _invocation(
        variable="call",
        payload=_payload({"args": list(given.args), "flags": flags}, env),
        body=_call(module_path(library, module), check_command(command), given),
        **how,
    )


def script_invocation(
    *,
    nu: str,
    library: str,
    text: str,
    args: Mapping[str, Any],
    env: Mapping[str, str],
    input_path: str,
    output_path: str,
) -> Invocation:
    """Return how to run the script `text`, which sees `args` as `$args`.

    Raises UsageProblem for a value that cannot be given to Nushell.
    """
    check_text(text, "the script")
    payload = _payload(dict(args), env)
    in_file = len(payload) <= _MAX_ENV_BYTES
    # From a file of its own an error names the script's own line, and `ps` does
    # not show it. There is one file, and large arguments need it more.
    invocation = _invocation(
        nu=nu,
        std=script_needs_std(text, Path(library)),
        library=library,
        variable="args",
        payload=payload,
        body=f"source {nu_literal(input_path)}" if in_file else text,
        env={**env, "PROVCTL_OUTPUT_FILE": output_path},
        input_path=input_path,
        hook=_RETURN,
    )
    return invocation._replace(input=text.encode()) if in_file else invocation


def _payload(given: Any, env: Mapping[str, str]) -> str:
    path = env.get("PATH", os.defpath).split(":")
    return encode_payload({"path": list(filter(None, path)), "given": given})


def _call(path: str, command: str, given: Values) -> str:
    """Return the Nushell that makes a call with the arguments and flags in `$call`."""

    def value(key: str, place: str) -> str:
        how = conversion(given.into[key]) if key in given.into else None
        return place if how is None else f"({place} | {how})"

    words = [
        PurePosixPath(path).stem if command == "main" else command,
        # By index, because a command without a rest parameter refuses `...$list`.
        *(value(f"{n}", f"$call.args.{n}") for n in range(len(given.args))),
        *(f"--{check_flag(f)}={value(f, f'$call.flags.{f}')}" for f in given.flags),
    ]
    # One name and not `*`: what the module lacks could be a built-in or a program.
    return f"use {nu_literal(path)} {nu_literal(command)}\n{' '.join(words)}"


def _invocation(
    *,
    nu: str,
    std: bool,
    library: str,
    variable: str,
    payload: str,
    body: str,
    env: Mapping[str, str],
    input_path: str,
    hook: str,
) -> Invocation:
    """Return how to run `body` with `payload` in the Nushell `variable`."""
    if len(payload) <= _MAX_ENV_BYTES:
        carrier, content, read = "PROVCTL_INPUT", payload, "$env.PROVCTL_INPUT"
    else:
        carrier, content = "PROVCTL_INPUT_FILE", input_path
        read = "open --raw $env.PROVCTL_INPUT_FILE"
    prelude = _PRELUDE.format(
        library=nu_literal(library),
        variable=variable,
        read=read,
        carrier=carrier,
        hook=hook,
    )
    environment: Dict[str, str] = {
        **env,
        "PATH": _NO_PROGRAMS,
        "NU_LIB_DIRS": library,
        carrier: content,
    }
    for name, value in environment.items():
        check_text(name + value, f"the environment variable {name!r}")
    switches = () if std else ("--no-std-lib",)
    return Invocation(
        argv=(nu, "--no-config-file", *switches, "--commands", prelude + body),
        env=environment,
        input=None if carrier == "PROVCTL_INPUT" else payload.encode(),
    )
