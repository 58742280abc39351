"""Direct mode: Nushell runs a command here, usually in place of this process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, List, Mapping

from provctl.base.stdio import binary_of
from provctl.errors import MissingTool
from provctl.nushell.invocation import NushellConfig, direct_invocation
from provctl.runs.task_environment import is_text

if TYPE_CHECKING:
    from subprocess import Popen

    from provctl.nushell.invocation import CallArguments, Invocation
    from provctl.nushell.library.index import LibraryCommand


def run_directly(
    verb: LibraryCommand,
    values: CallArguments,
    *,
    setting: NushellConfig,
    environ: Mapping[str, str],
    output: str,
) -> int:
    """Run a call here, in this process's terminal, and return its exit code.

    `environ` is the whole environment, without values that are not text. `output` is
    the format of the result. With "table" Nushell replaces this process. Otherwise only
    the result goes to stdout; what the command prints goes to stderr. Raises UsageError
    for values that cannot be passed to Nushell, MissingTool if Nushell does not start,
    and OSError if the result cannot be written.
    """
    assert verb.signature is not None, verb
    # No other process has them open, so their offsets are not shared.
    with _nameless() as given, _nameless() as result:
        apart = output != "table"
        invocation = direct_invocation(
            setting,
            verb.imports,
            (verb.module, verb.signature.command),
            values,
            env={name: value for name, value in environ.items() if is_text(value)},
            input_path=f"/dev/fd/{given.fileno()}",
            output=output,
            output_path=f"/dev/fd/{result.fileno()}" if apart else None,
        )
        given.write(invocation.input or b"")
        given.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            if not apart:
                os.set_inheritable(given.fileno(), True)
                os.execve(setting.nu, invocation.argv, invocation.env)  # noqa: S606
            return _run_and_print(setting.nu, invocation, given, result)
        except OSError as problem:
            if problem.filename != setting.nu:
                raise
            message = f"{setting.nu} could not be started: {problem.strerror}"
            raise MissingTool(message) from problem


def _nameless() -> BinaryIO:
    """Return a temporary file without a name; in memory if the system supports that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("provctl"), "w+b")
    from tempfile import TemporaryFile

    return TemporaryFile()


def _run_and_print(
    nu: str, invocation: Invocation, given: BinaryIO, result: BinaryIO
) -> int:
    import shutil
    import subprocess

    started: List[Popen[bytes]] = []
    _pass_signals_on(started)
    process = subprocess.Popen(
        invocation.argv,
        executable=nu,
        env=dict(invocation.env),
        stdout=2,
        pass_fds=(given.fileno(), result.fileno()),
    )
    started.append(process)
    code = process.wait()
    result.seek(0)
    out = binary_of(sys.stdout)
    shutil.copyfileobj(result, out)
    out.flush()
    return code if code >= 0 else 128 - code


def _pass_signals_on(started: List[Popen[bytes]]) -> None:
    """Forward signals to Nushell, which decides how to react to them."""
    import signal

    def pass_on(number: int, _frame: Any) -> None:
        for process in started:
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, pass_on)
