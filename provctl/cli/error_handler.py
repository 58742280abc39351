"""Prints the error of a failed command and returns its exit code."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr, suppress
from typing import TYPE_CHECKING, Callable, Iterable, Optional

import click

from provctl.base.cell_width import terminal_width
from provctl.base.safe_open import ForeignFile
from provctl.base.text import plain
from provctl.cli.exit_codes import INTERRUPTED, READER_GONE
from provctl.errors import InvalidWorkflow, ProvctlError, StateDirError

if TYPE_CHECKING:
    from provctl.cli.invocation import CommandLine


def run_with_error_handling(command: Callable[[], int], called: CommandLine) -> int:
    """Run a command, print what it raises, and return its exit code."""
    try:
        # Errors go to the current stderr, even if the command redirects it.
        with redirect_stderr(sys.stderr):
            return command()
    except InvalidWorkflow as problem:
        from provctl.cli.ci.annotations import annotate_mistakes
        from provctl.workflow_files.diagnostics import MAX_WIDTH, render_mistakes

        width = terminal_width(sys.stderr) or MAX_WIDTH
        _echo(render_mistakes(problem, width=width).splitlines())
        annotate_mistakes(os.environ, problem.mistakes)
        return problem.exit_code
    except ProvctlError as problem:
        hint = problem.hint and called.with_flags(problem.hint)
        return _tell(problem.message, hint, problem.exit_code)
    except click.UsageError as problem:
        return _tell_usage(problem)
    except click.ClickException as problem:
        return _tell(problem.format_message(), None, 2)
    except KeyboardInterrupt:
        click.echo(err=True)  # after the ^C
        return INTERRUPTED
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        return READER_GONE
    except OSError as problem:
        code = StateDirError.exit_code if isinstance(problem, ForeignFile) else 1
        return _tell(f"{problem.filename or 'output'}: {problem.strerror}", None, code)
    except Exception:  # noqa: BLE001  # the door: whatever else comes is a bug
        import traceback

        traceback.print_exc()
        return _tell(
            "this is a bug in provctl", "please report it with the output above", 1
        )


# What a command group raises itself; older versions of click print its help.
_NO_COMMAND = getattr(click.exceptions, "NoArgsIsHelpError", ())


def _tell_usage(problem: click.UsageError) -> int:
    hint = None
    if problem.ctx is not None and isinstance(problem, _NO_COMMAND):
        from provctl.cli.help_pages import page

        click.echo(page(problem.ctx), err=True)
        return 2
    if problem.ctx is not None:
        click.echo(problem.ctx.get_usage(), err=True)
        hint = f"{problem.ctx.command_path} --help"
    # For a choice click lists each word on its own line, after a tab.
    return _tell(problem.format_message().replace("\n\t", " "), hint, 2)


def _tell(message: str, hint: Optional[str], code: int) -> int:
    lines = [f"error: {line}" for line in message.splitlines()[:1]]
    lines += [f"       {line}" for line in message.splitlines()[1:]]
    if hint:
        lines.append(f"help:  {hint}")
    with suppress(OSError):  # the terminal may be gone
        _echo(map(plain, lines))
    return code


def _echo(lines: Iterable[str]) -> None:
    """Print lines with foreign texts; a CI system must not interpret them."""
    from provctl.render.ci_dialects import detect_ci_log_format

    harmless = detect_ci_log_format(os.environ).harmless
    for line in lines:
        click.echo(harmless(line), err=True)
