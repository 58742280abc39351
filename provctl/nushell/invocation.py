"""How `nu` is started for one attempt: arguments, environment, driver text.

The driver text is constant except for paths (generated literals) and checked names;
values travel as JSON. The value of a task is written to the output file as JSON, its
stdout and stderr are its log. An external program at the end of a task is a value too,
as in `let x = (^uname -s)`: its stdout is also copied to the log while it writes.

Nushell 0.114 or newer is needed: earlier versions have no `peek`, which distinguishes
the stdout of a program from other values without reading it.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from provctl.nushell.binary import check_plugins
from provctl.nushell.library.scan import (
    SHIPPED,
    ModuleFeatures,
    module_imports,
    script_imports,
)
from provctl.nushell.quoting import (
    check_command,
    check_flag,
    check_text,
    encode_payload,
    main_name,
    module_path,
    nu_literal,
)
from provctl.nushell.source_file import in_its_lines
from provctl.nushell.types import conversion_code

if TYPE_CHECKING:
    from provctl.core.model.workflow import NushellCall


_MAX_ENV_BYTES = 96 * 1024  # Linux refuses a variable or argument above 128 KiB

# Without a terminal `nu` runs `tput` four times to learn its size, a third of
# its start. /dev/null is never a directory, so no program is found in it.
_NO_PROGRAMS = "/dev/null"

# NU_LIB_DIRS is a constant here, and not only in the environment, because there a
# colon would split it. PATH comes as a list with the values: `split row` would cost
# half a millisecond.
_PRELUDE = """\
const NU_LIB_DIRS = [{library} {shipped}]
let {variable} = ({read} | from json)
hide-env {carrier}
$env.PATH = ${variable}.path
{needs}let {variable} = ${variable}.given
{imports}
"""
# A record: it stays in this process, programs of the task do not see it.
_NEEDS = "$env.PROVCTL_NEEDS = ${variable}.needs\n"
# What the platform's own modules expect when they call the scheduler: an accepted
# token, and a command `load-config`.
_HTTP = f"use {nu_literal(str(SHIPPED / 'provctl' / 'http.nu'))} *\n"
_CONFIG = f"use {nu_literal(str(SHIPPED / 'provctl' / 'client.nu'))} load-config\n"

# Nothing that a task defines or imports reaches beyond the parentheses. An error message
# shows the lines around the one it blames, so those are empty. A stream of bytes whose
# metadata name no source and no type is what a program writes.
_COLLECTED = """\
let result = (

{body}

) | peek 0 | metadata access {|made|
    if [$made.peek.type $made.source? $made.content_type?] == ["byte stream" null null] {
        tee { print }
    } else { $in }
}
"""
# Outside the `try` above all is collected, since an error in a lazy pipeline is the task's
# own; the `let` inside makes `to json` fail there.
_SENT = """\
if $result != null {
    let text = try { let text = (RENDERED); $text } catch {|err|
        let why = ($err.details?.labels?.0?.text? | default $err.msg)
        error make --unspanned {msg: $"the returned value cannot be converted to JSON: ($why)"}
    }
    $text SENT
}
"""
# How the platform's commands report that they failed.
_CHECKED = """\
match $result {
    {success: false} => {
        let why = [$result.error? $result.message? "it returned success: false"]
        let why = ($why | where { is-not-empty } | first)
        let why = if ($why | describe) == string { $why } else { $why | to json --raw }
        error make --unspanned {msg: $why}
    }
}
"""
# An empty value is not printed, because that costs two milliseconds.
_END = "exit\n"
# As Nushell shows values by itself; only a record has to be there whole to be checked.
_TABLE = f"""\
$env.config.hooks.display_output = {{||
    peek 0 | metadata access {{|made|
        if $made.peek.type == record {{
            let result = $in
            $result | if (term size).columns >= 100 {{ table -e }} else {{ table }} | print
            {_CHECKED}
        }} else if (term size).columns >= 100 {{ table -e }} else {{ table }}
    }}
}}
"""


def _with_payload(rendered: str, sent: str) -> str:
    return _SENT.replace("RENDERED", rendered).replace("SENT", sent)


_RETURNED = _with_payload(
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


class CallArguments(NamedTuple):
    """The arguments of a command.

    `into` names the types of values that JSON lacks, see `core.model.workflow`.
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


class NushellConfig(NamedTuple):
    """What all tasks have in common: the program, the library, and settings.

    `nu` and `library` are absolute, `plugins` too. `endpoints` are the spellings of the
    scheduler's address, none if it listens on no port.
    """

    nu: str
    library: str
    plugins: Tuple[str, ...] = ()
    endpoints: Tuple[str, ...] = ()


def call_invocation(
    setting: NushellConfig,
    call: NushellCall,
    *,
    needs: Callable[[], Mapping[str, Any]] = dict,
    env: Mapping[str, str],
    input_path: str,
    output_path: str,
) -> Invocation:
    """Return how to make a call; its module is a path below the library.

    A flag whose value is null is left out. The command "main" is the module's
    own. `needs` gives the outputs of the tasks before, if the module may ask for
    them. Raises UsageError for a name or value that cannot be given to Nushell.
    """
    imports = module_imports(Path(setting.library), call.module, setting.endpoints)
    return _call_invocation(
        setting,
        imports,
        (call.module, call.command),
        CallArguments(call.args, call.flags, call.into),
        needs=needs() if imports.provctl else None,
        env={**env, "PROVCTL_OUTPUT_FILE": output_path},
        input_path=input_path,
        finish=_COLLECTED + _RETURNED + _CHECKED * call.check_success + _END,
    )


def direct_invocation(
    setting: NushellConfig,
    imports: ModuleFeatures,
    command: Tuple[str, str],
    values: CallArguments,
    *,
    env: Mapping[str, str],
    input_path: str,
    output: str,
    output_path: Optional[str],
) -> Invocation:
    """Return how to make a call whose result is printed.

    `command` is its module and its name, `imports` what the module needs. The result
    is printed as Nushell's own table, or as `output` says: "table", "json", "jsonl" or
    "name"; then it goes to the end of the file `output_path`, if there is one. Raises
    UsageError like `call_invocation`.
    """
    finish = f"{_TABLE}\n\n{{body}}\n"
    if output in _FORMS:
        sent = (
            "| print"
            if output_path is None
            else f"{_APPENDED} {nu_literal(output_path)}"
        )
        finish = _COLLECTED + _with_payload(_FORMS[output], sent) + _CHECKED + _END
    return _call_invocation(
        setting,
        imports,
        command,
        values,
        needs=None,
        env=env,
        input_path=input_path,
        finish=finish,
    )


def _call_invocation(
    setting: NushellConfig,
    imports: ModuleFeatures,
    command: Tuple[str, str],
    values: CallArguments,
    *,
    needs: Optional[Mapping[str, Any]],
    env: Mapping[str, str],
    **how: Any,
) -> Invocation:
    flags = {name: value for name, value in values.flags.items() if value is not None}
    given = values._replace(flags=flags)
    module, name = command
    return _invocation(
        setting,
        imports,
        variable="call",
        payload=_payload({"args": list(given.args), "flags": flags}, env, needs),
        has_needs=needs is not None,
        body=_call(module_path(setting.library, module), check_command(name), given),
        env=env,
        **how,
    )


def script_invocation(
    setting: NushellConfig,
    *,
    text: str,
    args: Mapping[str, Any],
    origin: Tuple[str, int] = ("", 0),
    needs: Callable[[], Mapping[str, Any]] = dict,
    env: Mapping[str, str],
    input_path: str,
    output_path: str,
) -> Invocation:
    """Return how to run the script `text`, which sees `args` as `$args`.

    `origin` is the workflow file, and the line in which the script begins there. `needs` is as for a call. Raises UsageError for a value that cannot be given
    to Nushell.
    """
    check_text(text, "the script")
    imports = script_imports(text, Path(setting.library), setting.endpoints)
    outputs = needs() if imports.provctl else None
    # From a file of its own an error names the script's own line, and `ps` does not
    # show it. What is too large for the environment follows it there, as a comment.
    invocation = _invocation(
        setting,
        imports,
        variable="args",
        payload=_payload(dict(args), env, outputs),
        has_needs=outputs is not None,
        body=f"source {nu_literal(input_path)}",
        env={**env, "PROVCTL_OUTPUT_FILE": output_path},
        input_path=input_path,
        finish=_COLLECTED + _RETURNED + _END,
    )
    payload = b"" if invocation.input is None else b"\n\n\n# " + invocation.input
    return invocation._replace(input=in_its_lines(text, *origin).encode() + payload)


def check_prelude(setting: NushellConfig, text: str = "") -> str:
    """Return what has to stand before a script, or before what checks it, to parse it.

    Of a script: what comes before it in its task, and nothing that runs.
    """
    if not text:
        folders = f"{nu_literal(setting.library)} {nu_literal(str(SHIPPED))}"
        return f"const NU_LIB_DIRS = [{folders}]\n"
    imports = script_imports(text, Path(setting.library), setting.endpoints)
    known = _HTTP * imports.endpoint + _CONFIG * imports.config
    return f"let args = ('{{}}' | from json)\n{known}"


def switches(setting: NushellConfig, text: str) -> Sequence[str]:
    """Return the options of `nu` for a script. Raises MissingTool like `_switches`."""
    imports = script_imports(text, Path(setting.library), setting.endpoints)
    return _switches(setting, imports)


def _payload(
    given: Any, env: Mapping[str, str], needs: Optional[Mapping[str, Any]]
) -> str:
    path = env.get("PATH", os.defpath).split(":")
    payload = {"path": list(filter(None, path)), "given": given}
    if needs is not None:
        payload["needs"] = dict(needs)
    return encode_payload(payload)


def _call(path: str, command: str, given: CallArguments) -> str:
    """Return the Nushell that makes a call with the arguments and flags in `$call`."""

    def value(key: str, place: str) -> str:
        how = conversion_code(given.into[key]) if key in given.into else None
        return place if how is None else f"({place} | {how})"

    words = [
        main_name(path) if command == "main" else command,
        # By index, because a command without a rest parameter refuses `...$list`.
        *(value(f"{n}", f"$call.args.{n}") for n in range(len(given.args))),
        *(f"--{check_flag(f)}={value(f, f'$call.flags.{f}')}" for f in given.flags),
    ]
    # One name and not `*`: what the module lacks could be a built-in or a program.
    return f"use {nu_literal(path)} {nu_literal(command)};\n{' '.join(words)}"


def _invocation(
    setting: NushellConfig,
    imports: ModuleFeatures,
    *,
    variable: str,
    payload: str,
    has_needs: bool,
    body: str,
    env: Mapping[str, str],
    input_path: str,
    finish: str,
) -> Invocation:
    """Return how to run `body` with `payload` in the Nushell `variable`.

    `finish` is a template: what is done with the value that comes out.
    """
    if len(payload) <= _MAX_ENV_BYTES:
        carrier, content, read = "PROVCTL_INPUT", payload, "$env.PROVCTL_INPUT"
    else:
        carrier, content = "PROVCTL_INPUT_FILE", input_path
        read = "open --raw $env.PROVCTL_INPUT_FILE | lines | last | str trim --left --char '#'"
    prelude = _PRELUDE.format(
        library=nu_literal(setting.library),
        shipped=nu_literal(str(SHIPPED)),
        variable=variable,
        read=read,
        carrier=carrier,
        needs=_NEEDS.format(variable=variable) if has_needs else "",
        imports=_HTTP * imports.endpoint + _CONFIG * imports.config,
    )
    text = prelude + finish.replace("{body}", body)
    environment: Dict[str, str] = {
        **env,
        # Plugins are started before the driver's first line, and may need programs.
        "PATH": env.get("PATH", os.defpath) if setting.plugins else _NO_PROGRAMS,
        "NU_LIB_DIRS": f"{setting.library}:{SHIPPED}",
        carrier: content,
    }
    for name, value in environment.items():
        check_text(name + value, f"the environment variable {name!r}")
    return Invocation(
        argv=(setting.nu, *_switches(setting, imports), "--commands", text),
        env=environment,
        input=None if carrier == "PROVCTL_INPUT" else payload.encode(),
    )


def _switches(setting: NushellConfig, imports: ModuleFeatures) -> Sequence[str]:
    """Return the options of `nu`. Raises MissingTool if a plugin is not there."""
    switches = ["--no-config-file"]
    if not imports.std:
        switches.append("--no-std-lib")
    if setting.plugins:
        check_plugins(setting.plugins)
        listed = " ".join(map(nu_literal, setting.plugins))
        switches += ["--plugins", f"[{listed}]"]
    return switches
