"""Help pages: one for each command, with valid examples; topics that can be found."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING, Dict, Iterator, List, Tuple

import click
import pytest
from click.testing import CliRunner

from provctl.cli.exit_codes import ENDS, EXIT_CODES
from provctl.cli.help_pages import examples, pages, topic, topics
from provctl.cli.main import cli, workflow
from provctl.cli.session import Session
from provctl.cli.status_words import (
    RUN_OUTCOMES,
    RUN_STATUSES,
    TASK_OUTCOMES,
    TASK_STATUSES,
)
from tests.support.histories import HISTORIES

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("deploy.ncl", "other.ncl", "motd.j2")


def commands(
    group: click.Group = cli, words: Tuple[str, ...] = ()
) -> Iterator[Tuple[str, click.Command]]:
    """Every command with its words, groups included."""
    ctx = click.Context(group, obj=Session())
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if not command.hidden:
            yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


COMMANDS = {"provctl": cli, **dict(commands())}


def helped(*words: str) -> str:
    """The help of a command."""
    done = CliRunner().invoke(cli, [*words, "--help"], obj=Session())
    assert done.exit_code == 0
    return done.output


def meant(words: str) -> click.Command:
    """The command at the beginning of a command line."""
    with ExitStack() as stack:
        ctx = cli.make_context("provctl", shlex.split(words), obj=Session())
        stack.callback(ctx.close)
        while isinstance(ctx.command, click.Group):
            known = vars(ctx)  # its name is another one in newer versions of click
            held = known.get("_protected_args", known.get("protected_args", []))
            left = [*held, *ctx.args]
            name, command, rest = ctx.command.resolve_command(ctx, left)
            assert command is not None
            ctx = command.make_context(name, rest, parent=ctx)
            stack.callback(ctx.close)
        return ctx.command


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    there = pages()
    objects = {id(COMMANDS[words]) for words in there}
    missing = [words for words, each in COMMANDS.items() if id(each) not in objects]
    assert not missing


@pytest.mark.parametrize("words", COMMANDS)
def test_help_has_examples(words: str) -> None:
    asked = words.split() if words != "provctl" else []
    done = CliRunner().invoke(cli, [*asked, "--help"], obj=Session())
    assert done.exit_code == 0
    assert "\n\nExamples:\n  provctl " in done.output
    told = CliRunner().invoke(cli, ["help", *asked], obj=Session())
    assert done.output in told.output


@pytest.mark.parametrize("line", list(dict.fromkeys(examples())))
def test_every_example_is_a_valid_command_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FILES:
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line, comments=True)
    assert words.pop(0) == "provctl"
    assert meant(" ".join(map(shlex.quote, words))) in COMMANDS.values()


@pytest.mark.parametrize("words", pages())
def test_exit_codes_and_references_of_a_page_exist(words: str) -> None:
    page = pages()[words]
    assert page.examples
    assert set(page.exits) <= set(EXIT_CODES)
    for see in page.see:
        if see.startswith("help "):
            assert see[len("help ") :] in topics()
        else:
            assert see in COMMANDS


@pytest.mark.parametrize("name", topics())
def test_topic_is_short_and_complete(name: str) -> None:
    text = topic(name)
    done = CliRunner().invoke(cli, ["help", name], obj=Session())
    assert done.output.endswith(text + "\n")
    assert not re.search(r"^\s*\{[a-z-]+\}$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 92


def test_help_without_a_topic_lists_the_topics() -> None:
    done = CliRunner().invoke(cli, ["help"], obj=Session())
    for name, about in topics().items():
        assert name in done.output
        assert about.split()[0] in done.output


def test_mistyped_topic_gets_a_suggestion() -> None:
    done = CliRunner().invoke(cli, ["help", "recovry"], obj=Session())
    assert done.exit_code == 2
    assert "did you mean recovery?" in done.output


@pytest.mark.parametrize("words", ["bacth list", "batch lst", "scheduler strat"])
def test_mistyped_command_gets_a_suggestion(words: str) -> None:
    done = CliRunner().invoke(cli, words.split(), obj=Session())
    assert done.exit_code == 2
    assert "did you mean " in done.output


@pytest.mark.parametrize("word", ["outptus", "lst", "monitr"])
def test_mistyped_verb_gets_a_suggestion_at_top_level(word: str) -> None:
    done = CliRunner().invoke(cli, [word, "@last"], obj=Session())
    assert done.exit_code == 2
    assert re.search(r"did you mean (outputs|list|monitor)\?", done.output)


@pytest.mark.parametrize("verb", workflow.verbs)
def test_every_verb_of_workflow_works_at_top_level(verb: str) -> None:
    ctx = click.Context(cli, obj=Session())
    command = cli.get_command(ctx, verb)
    assert command is not None
    assert command is workflow.get_command(ctx, verb)
    short, long = (helped(*words) for words in ([verb], ["workflow", verb]))
    assert short == long.replace(f"provctl workflow {verb} [", f"provctl {verb} [", 1)


@pytest.mark.parametrize(("alias", "verb"), [("ps", "list"), ("watch", "monitor")])
def test_alias_is_the_same_command(alias: str, verb: str) -> None:
    ctx = click.Context(cli, obj=Session())
    assert cli.get_command(ctx, alias) is workflow.get_command(ctx, verb)
    assert helped(alias).replace(f"provctl {alias} [", f"provctl {verb} [") == helped(
        verb
    )


def test_help_lists_every_command_in_one_section() -> None:
    text, _, _ = helped().partition("\nExamples:\n")
    _, _, commands = text.partition("\nRun workflows:\n")
    rows = re.findall(r"^  ([a-z]+(?:, [a-z]+)*)  ", commands, re.MULTILINE)
    names = [name for row in rows for name in row.split(", ")]
    assert sorted(names) == sorted(cli.verbs)


def test_help_of_a_command_names_the_global_options_in_one_line() -> None:
    text = helped("version")
    assert "Options:\n" not in text
    (line,) = re.findall(r"^Global options: .*", text, re.MULTILINE)
    assert line.endswith("-o, --state-dir, --config, -q, -v (see provctl --help)")
    for words in ("-q, --quiet", "--state-dir DIR", "-v, --verbose", "--config FILE"):
        assert words in helped()
        assert words not in text
    # An option of the command itself is described there.
    assert "-o, --output" in helped("monitor")


def test_arguments_and_exit_codes_are_described_for_each_command() -> None:
    assert ".ncl" in helped("run")
    for words in (["template", "render"], ["config", "check"]):
        assert "FILE" in helped(*words)
        assert ".ncl" not in helped(*words)
    assert "BATCH" in helped("batch", "cancel")
    assert "RUN..." not in helped("batch", "cancel")
    assert "a schedule with this name already exists" in helped("schedule", "add")


def test_documented_status_words_are_those_of_runs_and_tasks() -> None:
    seen: Dict[str, List[str]] = {"run": [], "task": [], "end": [], "outcome": []}
    for history in HISTORIES.values():
        dialogue = history.begin()
        for news, _ in history.lines:
            history.tell(dialogue, news)
            for run in dialogue.state.runs.values():
                seen["run"].append(run.status)
                seen["end"].append(run.outcome or "")
                for task in run.tasks.values():
                    seen["task"].append(task.status)
                    seen["outcome"].append(task.outcome or "")
    assert set(seen["run"]) <= set(RUN_STATUSES)
    assert set(seen["end"]) - {""} <= set(RUN_OUTCOMES)
    assert set(seen["task"]) <= set(TASK_STATUSES)
    assert set(seen["outcome"]) - {""} <= set(TASK_OUTCOMES)
    assert set(RUN_OUTCOMES) == set(ENDS)
