"""The signatures of library commands, as Nushell itself reads them.

Modules are parsed, never run: our own module re-exports their commands, so not even
their `export-env` runs.

Records here are named tuples: they are loaded before a command can run, and a dataclass
costs ten times as much to define.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from provctl.core.model.nushell_names import is_command
from provctl.errors import MissingTool, UsageError
from provctl.nushell.library.scan import SHIPPED, module_needs_std
from provctl.nushell.quoting import module_path, nu_literal

_TIMEOUTS_MAX = 8  # after so many timeouts Nushell itself counts as hanging
# Characters of modules for one start: its time grows faster than their size. The
# generated text for them is an argument, and Linux refuses one above 128 KiB.
_MAX_SOURCE = 64 * 1024
_PLACE = r"(?m)\[(/.+):\d+:\d+\]$"

# Without closures: each call of one costs as much as there are commands. Durations and
# sizes as people write them, all else as JSON; what cannot become either is left out,
# for it is only shown.
_QUERY = """
mut commands = []
for command in (scope commands | where type == custom and name =~ '^m[0-9]+ ') {
    mut parameters = []
    for one in ($command.signatures | values | first) {
        if $one.parameter_type in [input output] { continue }
        let kind = ($one.parameter_default | describe)
        $parameters ++= [{
            name: $one.parameter_name
            kind: $one.parameter_type
            type: $one.syntax_shape
            required: (not $one.is_optional)
            short: $one.short_flag
            description: $one.description
            completion: $one.completion?
            default: (if $kind == nothing { null } else if $kind in [duration filesize] {
                $one.parameter_default | into string
            } else {
                try { $one.parameter_default | to json --raw } catch { null }
            })
        }]
    }
    mut examples = []
    for one in $command.examples { $examples ++= [[$one.description $one.example]] }
    $commands ++= [{
        name: $command.name
        description: $command.description
        details: $command.extra_description
        search_terms: $command.search_terms
        examples: $examples
        parameters: $parameters
    }]
}
$commands | to json --raw
"""


class Parameter(NamedTuple):
    """One parameter of a command.

    `kind` is "positional", "rest", "flag" or "switch"; `name` is without dashes and
    "rest" for a nameless rest; `type` is Nushell's, such as "list<string>", and for a
    rest that of one value. A flag is never `required`. `default` is text for users.
    `choices` are its completions, `completer` the command that returns them.
    """

    name: str
    kind: str
    type: str = "any"
    required: bool = False
    short: Optional[str] = None
    default: Optional[str] = None
    description: str = ""
    choices: Tuple[str, ...] = ()
    completer: Optional[str] = None


class Signature(NamedTuple):
    """A command of a library. `module` is its path below the library.

    `command` is what the module exports, "main" for its own. `examples` are pairs of
    a description and a line of Nushell.
    """

    module: str
    command: str
    description: str = ""
    details: str = ""
    search_terms: str = ""
    examples: Tuple[Tuple[str, str], ...] = ()
    parameters: Tuple[Parameter, ...] = ()

    @property
    def positionals(self) -> Tuple[Parameter, ...]:
        """Its positional parameters, without the rest."""
        return tuple(each for each in self.parameters if each.kind == "positional")

    @property
    def rest(self) -> Optional[Parameter]:
        """The parameter for all further words, if any."""
        return next((each for each in self.parameters if each.kind == "rest"), None)

    @property
    def flags(self) -> Tuple[Parameter, ...]:
        """Its flags and switches."""
        return tuple(each for each in self.parameters if each.kind in _FLAGS)


_FLAGS = ("flag", "switch")
_KINDS = {
    "positional": "positional",
    "rest": "rest",
    "named": "flag",
    "switch": "switch",
}

# The exports of a module, or why it cannot be read.
Exports = Union[Dict[str, Signature], UsageError]


class Source(NamedTuple):
    """The source of a module: its files, and the size of its exporting text.

    `std`: it may use the standard library.
    """

    files: Sequence[str]
    size: int
    std: bool


class _Failure(NamedTuple):
    """An error that Nushell reported instead of an answer."""

    report: str

    def names(self, files: Sequence[str]) -> bool:
        """Whether it is about one of these files."""
        place = re.search(_PLACE, self.report)
        return place is not None and any(
            os.path.realpath(file) == os.path.realpath(place[1]) for file in files
        )

    def problem(self, module: str) -> UsageError:
        """The problem of a module, in one line; those behind it have all of it."""
        from provctl.nushell.error_summary import error_summary

        lines = self.report.splitlines() or ["no error message"]
        message = f"{module} cannot be parsed by Nushell: {error_summary(lines)[0]}"
        return UsageError("\n".join([message, *(lines if len(lines) > 1 else ())]))


class SignatureReader:
    """Reads modules of one library with the Nushell program `nu`.

    `environ` is the environment in which they are parsed, `timeout_s` the time limit
    of one start of Nushell.
    """

    def __init__(
        self, library: Path, nu: str, environ: Mapping[str, str], *, timeout_s: float
    ) -> None:
        self._library = library
        self._nu = nu
        self._environ = environ
        self._timeout_s = timeout_s
        self._timeouts = 0

    def read(self, modules: Mapping[str, Source]) -> Iterator[Dict[str, Exports]]:
        """Yield what modules export, or the problem of one that does not parse.

        Each start of Nushell reads a portion of them, and what it read is yielded at
        once. Raises UsageError for a path that is not below the library, and
        MissingTool if Nushell does not answer.
        """
        pending = self._portions(modules)
        while pending:
            part = pending.pop()
            answer = self._ask(part, std=any(modules[m].std for m in part))
            if isinstance(answer, dict):
                yield answer
                continue
            broken = [m for m in part if answer.names(modules[m].files)]
            if len(part) == 1:
                broken = part
            if broken:
                yield {module: answer.problem(module) for module in broken}
                rest = [module for module in part if module not in broken]
                pending += [rest] if rest else []
            else:
                middle = len(part) // 2
                pending += [part[:middle], part[middle:]]

    def complete(self, signature: Signature, completer: str) -> List[Tuple[str, str]]:
        """Return the offers of a completer of the command's module, with descriptions.

        Raises UsageError or MissingTool if it cannot be called.
        """
        module = signature.module
        path = _file(self._library, module)
        if not is_command(completer):
            message = f"{completer!r} cannot provide completions"
            raise UsageError(message)
        body = f"source {nu_literal(path)}\n{completer} | to json --raw"
        output = self._run(body, std=module_needs_std(self._library, module))
        if isinstance(output, _Failure):
            raise output.problem(module)
        answer = json.loads(output)
        items = answer.get("completions", []) if isinstance(answer, dict) else answer
        return [_offer(item) for item in items]

    def _portions(self, modules: Mapping[str, Source]) -> List[List[str]]:
        """Return the modules in groups of a size that one start reads quickly."""
        portions: List[List[str]] = []
        size = _MAX_SOURCE
        for module, source in modules.items():
            # Beside its text what is generated for it, which is escaped in the worst
            # case.
            length = source.size + len(str(self._library)) + 6 * len(module) + 60
            size += length
            if size > _MAX_SOURCE:
                portions.append([])
                size = length
            portions[-1].append(module)
        return portions

    def _ask(
        self, modules: Sequence[str], *, std: bool
    ) -> Union[Dict[str, Exports], _Failure]:
        lines = []
        for number, module in enumerate(modules):
            path = nu_literal(module_path(str(self._library), module))
            lines.append(f"module m{number} {{ export use {path} * }}\nuse m{number}")
        output = self._run("\n".join(lines) + _QUERY, std=std)
        if isinstance(output, _Failure):
            return output
        found: Dict[str, Dict[str, Signature]] = {module: {} for module in modules}
        for record in json.loads(output):
            number, _, name = record["name"][1:].partition(" ")
            module = modules[int(number)]
            command = "main" if name == Path(module).stem else name
            found[module][command] = _signature(module, command, record)
        return dict(found)

    def _run(self, body: str, *, std: bool) -> Union[bytes, _Failure]:
        import subprocess

        library = str(self._library)
        folders = f"{nu_literal(library)} {nu_literal(str(SHIPPED))}"
        text = f"const NU_LIB_DIRS = [{folders}]\n{body}"
        switches = () if std else ("--no-std-lib",)
        argv = (self._nu, "--no-config-file", *switches, "--commands", text)
        places = f"{library}:{SHIPPED}"
        env = {**self._environ, "NU_LIB_DIRS": places, "NO_COLOR": "1"}
        try:
            done = subprocess.run(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            late = f"no answer within {self._timeout_s:g} seconds"
            self._timeouts += 1
            if self._timeouts < _TIMEOUTS_MAX:
                return _Failure(late)
            message = f"Nushell does not answer: {late}, {self._timeouts} times"
            raise MissingTool(
                message, hint="try again; results so far are cached"
            ) from None
        except OSError as error:
            message = f"Nushell does not answer: {error.strerror}"
            raise MissingTool(message) from error
        if done.returncode:
            return _Failure(done.stderr.decode(errors="replace").strip())
        return done.stdout


def signature_to_json(signature: Signature) -> Dict[str, Any]:
    """Return a signature as a JSON record; see `signature_from_json`."""
    parameters = [_changed_fields(each) for each in signature.parameters]
    return {**_changed_fields(signature), "parameters": parameters}


def signature_from_json(record: Mapping[str, Any]) -> Signature:
    """Return the signature of a record."""
    parameters = (
        Parameter(**{**each, "choices": tuple(each.get("choices", ()))})
        for each in record["parameters"]
    )
    examples = tuple((about, line) for about, line in record.get("examples", ()))
    more = {"parameters": tuple(parameters), "examples": examples}
    return Signature(**{**record, **more})


def _changed_fields(record: Union[Signature, Parameter]) -> Dict[str, Any]:
    """Return the fields that differ from their default."""
    defaults = record._field_defaults
    fields = record._asdict().items()
    return {k: v for k, v in fields if k not in defaults or v != defaults[k]}


def _signature(module: str, command: str, record: Mapping[str, Any]) -> Signature:
    return Signature(
        module,
        command,
        record["description"] or "",
        record["details"] or "",
        record["search_terms"] or "",
        tuple((about, line) for about, line in record["examples"]),
        tuple(_parameter(each) for each in record["parameters"]),
    )


def _parameter(record: Mapping[str, Any]) -> Parameter:
    kind = _KINDS[record["kind"]]
    completion = record["completion"]
    return Parameter(
        name=record["name"] or "rest",
        kind=kind,
        type="bool" if kind == "switch" else record["type"] or "any",
        required=kind == "positional" and record["required"],
        short=record["short"],
        default=_format_default(record["default"]),
        description=record["description"] or "",
        choices=tuple(map(str, completion)) if isinstance(completion, list) else (),
        completer=completion if isinstance(completion, str) else None,
    )


def _format_default(default: Optional[str]) -> Optional[str]:
    """Return a default for users: a text without its quotes, all else unchanged."""
    if default is None or not default.startswith('"'):
        return default
    return str(json.loads(default))


def _offer(item: Any) -> Tuple[str, str]:
    if isinstance(item, dict):
        return str(item.get("value", "")), str(item.get("description") or "")
    return str(item), ""


def _file(library: Path, module: str) -> str:
    path = module_path(str(library), module)
    inside = os.path.join(path, "mod.nu")  # noqa: PTH118
    return inside if os.path.isdir(path) else path  # noqa: PTH112
