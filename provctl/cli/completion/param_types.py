"""The types of words on the command line, and their completions.

Completion starts no scheduler, no Nickel and no Nushell, and checks nothing: the verb
reports a word that is not among the offers.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
)

import click

from provctl.cli.session import session_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from provctl.runs.summary_cache import RunSummaryCache
    from provctl.storage.run_summary import RunSummary


# A value and its description; and the function that finds them for the typed text.
Offer = Tuple[str, str]
Offers = Callable[[click.Context, str], Iterable[Offer]]

_WITHIN_S = 0.3  # a user who waits for a list does not notice this


class CompletableType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # 8.1 has none
    """Text that is completed with the results of `offers`; with `path` also with files.

    `path` is "file" or "dir".
    """

    def __init__(self, name: str, offers: Optional[Offers] = None, path: str = ""):
        self.name = name
        self._offers = offers
        self._path = path

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> List[CompletionItem]:
        """Return the completions of `incomplete`, without values already given."""
        from click.shell_completion import CompletionItem

        given = ctx.params.get(param.name or "")
        there = given if isinstance(given, (tuple, list)) else ()
        offers = self._offers(ctx, incomplete) if self._offers else ()
        fresh = (offer for offer in offers if offer[0] not in there)
        items = filter_completions(fresh, incomplete)
        if self._path:
            items.append(CompletionItem(incomplete, type=self._path))
        return items


class _Target(CompletableType):
    """A file to be written at the end; an unusable path is reported at once."""

    def convert(
        self,
        value: Any,
        param: Optional[click.Parameter],
        ctx: Optional[click.Context],
    ) -> Any:
        """Return the value if its folder exists and it is not a folder itself."""
        place = Path(value)
        if place.is_dir():
            return self.fail(f"{value} is a folder", param, ctx)
        if not place.absolute().parent.is_dir():
            return self.fail(f"there is no folder {place.parent}", param, ctx)
        return value


def _summary_cache(ctx: click.Context) -> RunSummaryCache:
    from provctl.config.paths import cache_dir
    from provctl.runs.summary_cache import RunSummaryCache

    return RunSummaryCache(session_of(ctx).folder, cache_dir(), within_s=_WITHIN_S)


def labels_known(ctx: click.Context) -> Dict[str, Counter[str]]:
    """Return the labels of the newest runs: for each key the number of each value."""
    found: Dict[str, Counter[str]] = {}
    for run in _summary_cache(ctx).latest():
        for key, value in run.labels.items():
            found.setdefault(key, Counter())[value] += 1
    return found


def _runs(ctx: click.Context, incomplete: str) -> Iterator[Offer]:
    known = _summary_cache(ctx).latest(lambda run: _begins(run.id, incomplete))
    yield from _last(known)
    for run in known:
        yield run.id, _about(run)


def _begins(run_id: str, incomplete: str) -> bool:
    return incomplete[:1] == "@" or run_id.startswith(incomplete)


def _last(newest: List[RunSummary]) -> Iterator[Offer]:
    if newest:
        yield "@last", f"the latest: {_about(newest[0])}"


def _runs_and_batches(ctx: click.Context, incomplete: str) -> Iterator[Offer]:
    known = _summary_cache(ctx).latest(
        lambda run: any(_begins(name or "", incomplete) for name in (run.id, run.batch))
    )
    yield from _last(known)
    sizes = Counter(run.batch for run in known)
    for run in known:
        if run.batch and run.batch in sizes:
            yield (
                run.batch,
                f"{_age(run.created_at)}, a batch of {sizes.pop(run.batch)}",
            )
        yield run.id, _about(run)


def _about(run: RunSummary) -> str:
    return f"{run.name}, {run.status_word}, {_age(run.created_at)}"


_AGES = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (1e12, 86_400, "d"))


def _age(at: float) -> str:
    past_s = max(time.time() - at, 0.0)  # noqa: TID251  # only for display
    for below, unit, name in _AGES:
        if past_s < below:
            return f"{past_s // unit:.0f} {name} ago"
    return "long ago"


def _tasks_of(ctx: click.Context, run: str) -> List[Offer]:
    from provctl.runs.param_cache import tasks_of

    folder = session_of(ctx).folder
    if run not in folder.run_ids():
        found = _summary_cache(ctx).find(run)
        if found is None:
            return []
        run = found.id
    return tasks_of(folder.run(run))


def _tasks(ctx: click.Context, _: str) -> List[Offer]:
    run = ctx.params.get("run")
    return _tasks_of(ctx, run) if run else []


def _runs_or_tasks(ctx: click.Context, incomplete: str) -> Iterable[Offer]:
    run, slash, _ = incomplete.partition("/")
    if not slash:
        return _runs(ctx, incomplete)
    return [(f"{run}/{task}", about) for task, about in _tasks_of(ctx, run)]


def _params(ctx: click.Context, incomplete: str) -> Iterator[Offer]:
    """Names with a `=`, then the default; for a switch, both of its values."""
    from provctl.config.paths import cache_dir
    from provctl.runs.param_cache import params_of

    names = (ctx.params.get(name) for name in ("file", "files", "what"))
    files = next(filter(None, names), ())
    for file in [files] if isinstance(files, str) else files:
        known = params_of(cache_dir(), Path(file).expanduser())
        for name, default in known.items():
            if not incomplete.startswith(f"{name}="):
                yield f"{name}=", f"default: {default[:60]}" if default else ""
                continue
            for value in (
                ("true", "false") if default in _SWITCH else _given_as(default)
            ):
                yield f"{name}={value}", "default" if value == default else ""


_SWITCH = ("true", "false")


def _given_as(default: str) -> Iterator[str]:
    """The written form of a JSON default after `-p NAME=`; nothing if it has none."""
    import json

    with suppress(ValueError):  # it was truncated
        value = json.loads(default)
        if isinstance(value, str):
            yield value
        elif not isinstance(value, dict):
            yield default


def _statuses(ctx: click.Context, _: str) -> List[Offer]:
    words = [run.status_word for run in _summary_cache(ctx).latest()]
    return [(word, f"of {words.count(word)} runs") for word in sorted(set(words))]


def _workflows(ctx: click.Context, _: str) -> List[Offer]:
    names = [run.name for run in _summary_cache(ctx).latest()]
    return [(name, f"{names.count(name)} runs") for name in dict.fromkeys(names)]


def _keys(_ctx: click.Context, _: str) -> List[Offer]:
    from provctl.config.registry import KEYS

    return [(key.name, key.description.help) for key in KEYS]


def _commands(ctx: click.Context, incomplete: str) -> List[Offer]:
    """The commands below those on the line; without any also the topics."""
    from provctl.cli.help_pages import topics

    place = ctx.find_root()
    before = ctx.params.get("words") or ()
    offers = [] if before else list(topics().items())
    for word in before:
        group = place.command
        found = (
            group.get_command(place, word) if isinstance(group, click.Group) else None
        )
        if found is None:
            return []
        place = click.Context(found, place, word, obj=ctx.obj)
    items = place.command.shell_complete(place, incomplete)
    commands = [(each.value, each.help or "") for each in items if each.type == "plain"]
    return [*commands, *offers]


RUN = CompletableType("run", _runs)
RUNS = CompletableType("runs", _runs_and_batches)
RUN_OR_TASK = CompletableType("run or task", _runs_or_tasks)
FILE_OR_RUN = CompletableType("file or run", _runs, path="file")
TASK = CompletableType("task", _tasks)
PARAM = CompletableType("parameter", _params)
STATUS = CompletableType("status", _statuses)
WORKFLOW = CompletableType("workflow", _workflows)
KEY = CompletableType("key", _keys)
COMMAND = CompletableType("command", _commands)
FILE = click.Path(dir_okay=True)
PLACE = CompletableType("file", path="file")  # it need not exist
TARGET = _Target("file", path="file")  # it will be written
DIRECTORY = CompletableType("directory", path="dir")


def filter_completions(
    offers: Iterable[Offer], incomplete: str
) -> List[CompletionItem]:
    """Return the `offers`, values and descriptions, that start with `incomplete`."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(value, help=about or None)
        for value, about in offers
        if value.startswith(incomplete)
    ]
