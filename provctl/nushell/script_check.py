"""Checks scripts with Nushell before they run.

One `nu` parses all of them as in a task: with the same modules and `$args`, but it runs
nothing. A syntax error is certain. A finding that may have changed when a task runs,
such as a missing module that another task creates, is not.
"""

from __future__ import annotations

import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from provctl import __version__
from provctl.base.record_cache import read_cache, write_cache
from provctl.errors import MissingTool
from provctl.nushell.error_summary import ErrorReport, first_report
from provctl.nushell.invocation import check_prelude, switches

if TYPE_CHECKING:
    from provctl.nushell.invocation import NushellConfig


_KEPT = 20_000  # scripts
_IMPORTS = re.compile(
    r"(?<![\w-])(?:use|module|source|source-env|overlay|plugin)(?![\w-])"
)

_TIMEOUT_S = 60.0
# The report on stderr is needed only for scripts that do not parse.
_PROGRAM = """\
$in | from json | each {|text|
    if ($text | nu-check) {
        {programs: (ast --flatten $text | where shape == shape_external | each {|word|
            {name: $word.content, start: $word.span.start}
        })}
    } else { {text: $text} }
} | each {|answer|
    let error = try { $answer.text? | default "" | nu-check --debug; null } catch {|err|
        $err.details?.labels?.0?.text? | default $err.msg
    }
    print --stderr "MARK"
    {programs: $answer.programs?, error: $error}
} | to json --raw
"""
# What depends on files that may be created before the script runs.
_LATER = re.compile(r"nu::parser::(.*not_found|error|.*file.*)$")
_LASTING = re.compile(r"nu::parser::(variable|unknown)_")
_NOT_PLAIN = re.compile(r"[/~$*?(\"'`\s]")


class Finding(NamedTuple):
    """A problem in a line of a script (0: unknown). `sure`: it cannot run."""

    line: int
    message: str
    hint: str = ""
    sure: bool = True


class Checked(NamedTuple):
    """The problems of a script, and the programs that it starts, with their lines."""

    findings: Tuple[Finding, ...] = ()
    programs: Tuple[Tuple[str, int], ...] = ()


def check_scripts_cached(
    setting: NushellConfig,
    texts: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    cache: Path,
) -> Dict[str, Checked]:
    """Return the same as `check_scripts`; results in the file `cache` are reused.

    Imported files may change, so scripts with imports are always checked.
    """
    head = _identity(setting.nu)
    kept = read_cache(cache, head)
    names = {text: sha256(text.encode()).hexdigest() for text in texts}
    found = {
        text: _from_json(kept[name]) for text, name in names.items() if name in kept
    }
    asked = [text for text in names if text not in found]
    new = check_scripts(setting, asked, cwd=cwd, env=env) if asked else {}
    lasting = {
        names[text]: json.dumps(checked)
        for text, checked in new.items()
        if not _IMPORTS.search(text)
    }
    if lasting:
        room = max(_KEPT - len(lasting), 0)
        write_cache(cache, head, {**dict(list(kept.items())[-room:]), **lasting})
    return {**found, **new}


def _identity(nu: str) -> str:
    """The identity of Nushell and of this program's version."""
    try:
        about = Path(nu).stat()
    except OSError:
        return ""
    return json.dumps([__version__, nu, about.st_size, about.st_mtime_ns])


def _from_json(record: str) -> Checked:
    findings, programs = json.loads(record)
    return Checked(
        tuple(Finding(*each) for each in findings),
        tuple((name, line) for name, line in programs),
    )


def check_scripts(
    setting: NushellConfig, texts: Sequence[str], *, cwd: str, env: Mapping[str, str]
) -> Dict[str, Checked]:
    """Return Nushell's findings about each script, as tasks in `cwd` with `env`.

    Raises MissingTool if Nushell does not answer, or a plugin is missing.
    """
    groups: Dict[Tuple[str, ...], List[Tuple[str, str]]] = {}
    for text in dict.fromkeys(texts):
        chosen = tuple(switches(setting, text))
        groups.setdefault(chosen, []).append((text, check_prelude(setting, text)))
    found: Dict[str, Checked] = {}
    for chosen, group in groups.items():
        found.update(_check_group(setting, chosen, group, cwd, env))
    return found


def check_program(mark: str) -> str:
    """Return the Nushell source that checks the scripts on stdin.

    Nushell's report about each script is followed by a line `mark` on stderr.
    """
    return _PROGRAM.replace("MARK", mark)


def _check_group(
    setting: NushellConfig,
    chosen: Sequence[str],
    group: Sequence[Tuple[str, str]],
    cwd: str,
    env: Mapping[str, str],
) -> Dict[str, Checked]:
    """Check with one `nu`, started with these options."""
    import subprocess

    mark = os.urandom(16).hex()
    program = check_prelude(setting) + check_program(mark)
    try:
        done = subprocess.run(
            [setting.nu, *chosen, "--stdin", "--commands", program],
            input=json.dumps([prelude + text for text, prelude in group]).encode(),
            env={**env, "NO_COLOR": "1"},
            cwd=cwd,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        answers = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        told = first_report(error.stderr.decode("utf-8", "replace").splitlines())
        message = f"{setting.nu} failed with exit code {error.returncode}"
        raise MissingTool(": ".join(filter(None, (message, told.message)))) from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        message = f"{setting.nu} does not answer: {error}"
        raise MissingTool(message) from error
    reports = done.stderr.decode("utf-8", "replace").split(f"{mark}\n")
    return {
        text: _read(text, prelude, answer, report)
        for (text, prelude), answer, report in zip(group, answers, reports)
    }


def _read(text: str, prelude: str, answer: Mapping[str, Any], said: str) -> Checked:
    above = prelude.count("\n")
    if answer["error"] is not None:
        report = first_report(said.splitlines())
        return Checked((_finding(report, above, answer["error"]),))
    source = (prelude + text).encode()
    programs = (
        (word["name"], source.count(b"\n", 0, word["start"]) + 1 - above)
        for word in answer["programs"]
    )
    return Checked(programs=tuple(each for each in programs if _is_plain(each[0])))


def _is_plain(name: str) -> bool:
    """Whether a program is searched on PATH by exactly this name."""
    return bool(name) and not _NOT_PLAIN.search(name)


def _finding(told: ErrorReport, above: int, otherwise: str) -> Finding:
    if not told.message:
        # As in Nushell 0.114, which reports nothing.
        return Finding(0, otherwise.replace("Found : ", ""), sure=False)
    own = told.file == "source"
    lasting = _LASTING.match(told.code) or not _LATER.match(told.code)
    message = told.message if own else f"{told.message} ({told.file}:{told.line})"
    line = max(told.line - above, 1) if own else 0
    return Finding(line, message, told.help, sure=own and bool(lasting))
