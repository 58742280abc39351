"""The benchmarks: whole processes, medians, each with a reference.

    .venv/bin/python -m tests.bench.bench                     all of them
    .venv/bin/python -m tests.bench.bench fan startup -n 9    some, nine times
    .venv/bin/python -m tests.bench.bench montage --wfinstances FOLDER
    .venv/bin/python -m tests.bench.bench fan --folder /dev/shm --folder /var/tmp
    .venv/bin/python -m tests.bench.bench fan --json before.json
    .venv/bin/python -m tests.bench.bench fan --compare before.json

Measured is the provctl beside the Python that runs this. `make`, `xargs` and `nu`
have to be on PATH; `doit` and `task` (go-task) are measured if they are. Exits with 1
if a bar is missed, or a value is more than 5 % above that of an earlier file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set

from tests.bench import graphs, runners
from tests.bench.findings import Finding, compare, file_system, save
from tests.bench.library import write_large_library, write_library
from tests.bench.live import longest_step, reporting, watched
from tests.bench.measure import (
    Usage,
    become_reaper,
    clean_environment,
    measure,
    peak_memory,
)
from tests.bench.reports import ended_run
from tests.bench.slow_disk import SYNC_S, preload
from tests.support.installed import ROOT

__all__ = ["main"]


@dataclass
class Bench:
    """The working folder of the benchmarks. Nothing is deleted before the end.

    Some file systems create files slowly for seconds after many were deleted.
    """

    folder: Path
    repeat: int
    wfinstances: Optional[Path]
    env: Dict[str, str] = field(default_factory=lambda: clean_environment(os.environ))
    states: int = 0

    def provctl(self, *words: str) -> List[str]:
        """Return a provctl command with its own state directory."""
        self.states += 1
        state = str(self.folder / f"state-{self.states}")
        return [
            str(Path(sys.executable).parent / "provctl"),
            *words,
            "--state-dir",
            state,
        ]

    @property
    def is_in_memory(self) -> bool:
        """Whether the file system is tmpfs, on which a sync costs nothing."""
        return file_system(self.folder) == "tmpfs"

    def run(self, file: Path, jobs: int = 2) -> List[str]:
        """Return the command that runs a workflow file, `jobs` tasks at a time."""
        return self.provctl("run", str(file), "-j", str(jobs))

    def runners(
        self, graph: graphs.Graph, jobs: int = 2
    ) -> Dict[str, Callable[[], List[str]]]:
        """Return how provctl and each runner that is installed run the same graph."""
        file = graphs.write(graph, self.folder)
        others = runners.commands(graph, self.folder, jobs, self.env["PATH"])
        return {"provctl": lambda: self.run(file, jobs), **others}

    def ask(self, command: Sequence[str]) -> str:
        """Run a command without measuring it; return its output."""
        done = subprocess.run(command, env=self.env, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def measure_once(self, command: Sequence[str]) -> float:
        """Return the duration in seconds of a command that cannot be repeated."""
        start = time.monotonic()
        self.ask(command)
        return time.monotonic() - start

    def measure(self, **commands: Callable[[], Sequence[str]]) -> Dict[str, Usage]:
        """Run commands in turns; return their medians."""
        return measure(commands, self.env, repeat=self.repeat)


def bench_fan(bench: Bench) -> Iterator[Finding]:
    """1,000 commands in a fan, against make; and their memory."""
    graph = graphs.fan(1_000)
    bars = {2: 3.0, 10: 2.6} if bench.is_in_memory else {2: 4.2, 10: 3.5}
    for jobs, bar in bars.items():
        found = bench.measure(**bench.runners(graph, jobs))
        what = f"fan of 1,000 commands, -j {jobs}"
        yield from _against(what, found, 1_000, bar=bar)
        if jobs == 2:
            cpu_ms = found["provctl"].cpu_s
            yield Finding("  CPU a task, with start-up", cpu_ms, "ms", 2.2)
    peak = peak_memory(bench.run(bench.folder / "fan-1000.json"), bench.env) / 1e6
    yield Finding("  peak memory of the run", peak, "MB", 100)


def bench_scripts(bench: Bench) -> Iterator[Finding]:
    """200 Nushell scripts in a fan, against xargs."""
    file = graphs.write(graphs.script_fan(200), bench.folder)
    nu = "seq 200 | xargs -P2 -I{} nu -n --no-std-lib -c 1"
    found = bench.measure(
        provctl=lambda: bench.run(file), xargs=lambda: ["sh", "-c", nu]
    )
    ours, reference = found["provctl"].cpu_s, found["xargs"].cpu_s
    notes = f"CPU {ours:.2f} s, xargs: {reference:.2f} s"
    yield Finding("fan of 200 scripts, CPU", ours / reference, "x", 1.0, notes)


def bench_chain(bench: Bench) -> Iterator[Finding]:
    """200 commands in a chain, against make."""
    found = bench.measure(**bench.runners(graphs.chain(200)))
    yield from _against("chain of 200 commands", found, 200, bar=5.0)


def bench_slow(bench: Bench) -> Iterator[Finding]:
    """What a task takes longer if each sync takes 2 ms longer."""
    file = graphs.write(graphs.fan(200), bench.folder)
    library = f"LD_PRELOAD={preload(bench.folder)}"
    for jobs, bar in ((1, 6.0), (10, 2.0)):
        found = bench.measure(
            quick=partial(bench.run, file, jobs),
            slow=partial(_preloaded, library, bench, file, jobs),
        )
        more = (found["slow"].wall_s - found["quick"].wall_s) / 200 * 1e3
        what = f"a sync takes {SYNC_S * 1e3:g} ms: more a task, -j {jobs}"
        notes = f"{found['slow'].wall_s:.2f} s, else {found['quick'].wall_s:.2f} s"
        yield Finding(what, more, "ms", bar, notes)


def _preloaded(library: str, bench: Bench, file: Path, jobs: int) -> List[str]:
    return ["env", library, *bench.run(file, jobs)]


def bench_large(bench: Bench) -> Iterator[Finding]:
    """The cost of a task in a fan of 10,000, against one of 1,000."""
    small = graphs.write(graphs.fan(1_000), bench.folder)
    large = graphs.write(graphs.fan(10_000), bench.folder)
    found = bench.measure(
        small=lambda: bench.run(small), large=lambda: bench.run(large)
    )
    of_small, of_large = found["small"].wall_s / 1_000, found["large"].wall_s / 10_000
    notes = f"{of_large * 1e3:.2f} ms a task, in 1,000: {of_small * 1e3:.2f} ms"
    yield Finding("fan of 10,000, cost of a task", of_large / of_small, "x", 1.2, notes)


def bench_startup(bench: Bench) -> Iterator[Finding]:
    """Reading commands, against the import of click."""
    file = graphs.write(graphs.fan(1), bench.folder)
    provctl, *state = bench.provctl()
    bench.env["XDG_CACHE_HOME"] = str(bench.folder / "cache")
    files = [str(file)] * 1_000
    batch = bench.ask([provctl, "batch", "submit", *files, *state, "-o", "name"])
    bench.ask([provctl, "wait", batch, *state])
    bench.ask([provctl, "scheduler", "stop", *state])
    looks = {
        "--version": [provctl, "--version"],
        "workflow list": [provctl, "workflow", "list", *state],
        "workflow status @last": [provctl, "workflow", "status", "@last", *state],
    }
    click = [sys.executable, "-I", "-c", "import click"]
    commands: Dict[str, Callable[[], Sequence[str]]] = {
        what: partial(list, command) for what, command in looks.items()
    }
    found = bench.measure(click=lambda: click, **commands)
    reference = found.pop("click").wall_s
    for what, usage in found.items():
        notes = f"{usage.wall_s * 1e3:.0f} ms, import click: {reference * 1e3:.0f} ms"
        ratio = usage.wall_s / reference
        yield Finding(f"provctl {what}, 1,000 runs", ratio, "x", 2.0, notes)


def bench_single(bench: Bench) -> Iterator[Finding]:
    """The unpacked single file, against the installed command."""
    single = ROOT / "dist" / "provctl"
    if not single.exists():
        yield Finding("single file: not measured, see .ci/single-file", 0, "")
        return
    bench.env["XDG_CACHE_HOME"] = str(bench.folder / "unpacked")
    first = bench.measure_once([str(single), "--version"])
    installed, *state = bench.provctl()
    for words in (["--version"], ["workflow", "list", *state]):
        found = bench.measure(
            installed=partial(list, [installed, *words]),
            single=partial(list, [str(single), *words]),
        )
        took = {name: usage.wall_s for name, usage in found.items()}
        notes = f"{took['single'] * 1e3:.0f} ms, {took['installed'] * 1e3:.0f} ms"
        notes += f" installed; the first time {first:.2f} s"
        what = " ".join(words[:2])
        ratio = took["single"] / took["installed"]
        yield Finding(f"single file, provctl {what}", ratio, "x", 2.2, notes)


def bench_library(bench: Bench) -> Iterator[Finding]:
    """Commands of a library of 200: their list, and one of them, from the cache."""
    folder = write_library(bench.folder / "library")
    bench.env["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder)
    bench.env["XDG_CACHE_HOME"] = str(bench.folder / "cache")
    provctl, *state = bench.provctl()
    helps = [provctl, "--help", *state]
    call = [provctl, "thinga", "create", "x", "--direct", *state]
    first = bench.measure_once(helps)
    time.sleep(2)  # until the times of its files can be relied on
    bench.ask(helps)
    found = bench.measure(
        help=lambda: helps,
        call=lambda: call,
        version=lambda: [provctl, "--version"],
        nu=lambda: ["nu", "-n", "--no-std-lib", "-c", "1"],
        click=lambda: [sys.executable, "-I", "-c", "import click"],
    )
    took = {name: usage.wall_s for name, usage in found.items()}
    notes = f"{took['help'] * 1e3:.0f} ms, import click: {took['click'] * 1e3:.0f} ms"
    notes += f"; the first time {first:.2f} s"
    ratio = took["help"] / took["click"]
    yield Finding("provctl --help, library of 200", ratio, "x", 2.0, notes)
    both = took["version"] + took["nu"]
    notes = f"{took['call'] * 1e3:.0f} ms, --version and nu: {both * 1e3:.0f} ms"
    yield Finding("provctl NOUN VERB", took["call"] / both, "x", 1.3, notes)


def bench_large_libraries(bench: Bench) -> Iterator[Finding]:
    """Help with large libraries: the first time, and from the cache."""
    yield from _help_of(bench, 600, 1_700)
    yield from _help_of(bench, 150, 6_150)


def _help_of(bench: Bench, modules: int, commands: int) -> Iterator[Finding]:
    folder = bench.folder / f"library-{modules}"
    write_large_library(folder, modules, commands)
    bench.env["PROVCTL_NUSHELL_PROVISIONING_LIB"] = str(folder)
    provctl, *state = bench.provctl()
    caches = (bench.folder / f"cache-{modules}-{n}" for n in count())
    helps = [provctl, "--help", *state]
    bench.env["XDG_CACHE_HOME"] = str(bench.folder / "cache")
    bench.ask(helps)
    time.sleep(2)  # until the times of its files can be relied on
    bench.ask(helps)
    found = bench.measure(
        first=lambda: ["env", f"XDG_CACHE_HOME={next(caches)}", *helps],
        help=lambda: helps,
        click=lambda: [sys.executable, "-I", "-c", "import click"],
    )
    what = f"{commands:,} commands in {modules} modules"
    notes = f"CPU: {found['first'].cpu_s:.1f} s"
    yield Finding(f"{what}, the first time", found["first"].wall_s, "s", 30, notes)
    ratio = found["help"].wall_s / found["click"].wall_s
    notes = f"{found['help'].wall_s * 1e3:.0f} ms"
    notes += f", import click: {found['click'].wall_s * 1e3:.0f} ms"
    yield Finding("  when they are known", ratio, "x", 2.5, notes)


def bench_completion(bench: Bench) -> Iterator[Finding]:
    """The duration of a completion with 1,000 runs, against the import of click."""
    file = graphs.write(graphs.fan(100), bench.folder)
    params = bench.folder / "params.json"
    params.write_text('{"params": {"zone": "es-mad1"}, "tasks": {}}', encoding="utf-8")
    provctl, *state = bench.provctl()
    bench.env["PROVCTL_STATE_DIR"] = state[-1]
    bench.env["XDG_CACHE_HOME"] = str(bench.folder / "cache")
    bench.env["PROVCTL_ORCHESTRATOR_AUTO_START"] = "false"
    files = [str(file)] * 1_000
    bench.ask([provctl, "batch", "submit", *files])
    run = bench.ask([provctl, "ps", "-n", "1", "-o", "name"])
    lines = {
        "verbs": "provctl workflow mon",
        "run ids": "provctl logs ",
        "task names": f"provctl logs {run} ",
        "task names of @last": "provctl logs @last ",
        "parameters": f"provctl run {params} -p ",
    }

    def asked(typed: str) -> List[str]:
        asking = ["_PROVCTL_COMPLETE=bash", f"_PROVCTL_WORDS={typed}"]
        return ["env", *asking, provctl]

    for typed in lines.values():
        bench.ask(asked(typed))  # until all of the runs are known
        assert bench.ask(asked(typed)), typed
    commands = {what: partial(asked, typed) for what, typed in lines.items()}
    click = ["env", sys.executable, "-I", "-c", "import click"]
    found = bench.measure(click=lambda: click, **commands)
    reference = found.pop("click").wall_s
    for what, usage in found.items():
        notes = f"{usage.wall_s * 1e3:.0f} ms, import click: {reference * 1e3:.0f} ms"
        ratio = usage.wall_s / reference
        yield Finding(f"completion: {what}", ratio, "x", 1.5, notes)


def bench_montage(bench: Bench) -> Iterator[Finding]:
    """A recorded workflow of 1,738 tasks: time, order, and its validation."""
    if bench.wfinstances is None:
        yield Finding("montage: not measured, see --wfinstances", 0, "")
        return
    name = "montage-chameleon-2mass-05d-001"
    record = json.loads((bench.wfinstances / f"{name}.json").read_bytes())
    graph = graphs.instance(record, name)
    size = len(graph["tasks"])
    last: List[str] = []
    commands = bench.runners(graph)
    run = commands["provctl"]

    def run_and_remember() -> List[str]:
        last[:] = run()
        return last

    found = bench.measure(**{**commands, "provctl": run_and_remember})
    yield from _against(f"montage, {size:,} tasks", found, size)
    early = _out_of_order(Path(last[-1]), graph)
    yield Finding("  tasks that began before their parents ended", early, "", 0)
    file = str(bench.folder / f"{name}.json")
    check = bench.measure(check=lambda: bench.provctl("workflow", "validate", file))
    yield Finding("  its validation", check["check"].wall_s, "s", 1.0)


def _against(
    what: str, found: Dict[str, Usage], tasks: int, bar: Optional[float] = None
) -> Iterator[Finding]:
    """Compare provctl and the other runners with make."""
    make = found["make"]
    for name, usage in found.items():
        if name == "make":
            continue
        notes = (
            f"{usage.wall_s:.2f} s, make: {make.wall_s:.2f} s;"
            f" {tasks / usage.wall_s:.0f} tasks/s,"
            f" CPU a task {usage.cpu_s / tasks * 1e3:.2f} ms,"
            f" make: {make.cpu_s / tasks * 1e3:.2f} ms"
        )
        ratio = usage.wall_s / make.wall_s
        if name == "provctl":
            yield Finding(what, ratio, "x", bar, notes)
        else:
            yield Finding(f"  {name}: {what}", ratio, "x", None, notes)


def _out_of_order(state: Path, graph: graphs.Graph) -> int:
    """Count tasks that started before a parent of theirs succeeded, by the journal."""
    (journal,) = state.glob("runs/*/journal.jsonl")
    succeeded: Set[str] = set()
    begun: List[str] = []
    early = 0
    for line in journal.read_bytes().splitlines():
        event: Dict[str, Any] = json.loads(line)
        if event["type"] == "attempt_started":
            begun.append(event["task"])
            early += not succeeded.issuperset(graph["tasks"][event["task"]]["needs"])
        elif event["type"] == "attempt_finished" and event["outcome"] == "succeeded":
            succeeded.add(event["task"])
    assert sorted(begun) == sorted(graph["tasks"]), "each task begins exactly once"
    return early


def bench_live(bench: Bench) -> Iterator[Finding]:
    """The cost of `monitor` while 100 tasks report one to four times a second."""
    for waiting, name in ((0, "100 at work"), (9_900, "of 10,000")):
        yield _watching(bench, waiting, name)


def bench_frames(bench: Bench) -> Iterator[Finding]:
    """The longest step of a picture of 100,000 tasks, in the process that runs them."""
    took = [
        longest_step(bench.folder / f"frames-{n}", 100_000) for n in range(bench.repeat)
    ]
    yield Finding("longest step of 100,000 tasks at a terminal", min(took), "s", 0.05)


def bench_reports(bench: Bench) -> Iterator[Finding]:
    """The cost of a task in each report of 100,000 tasks, against one of 10,000."""
    for form in ("junit", "html", "summary"):
        commands: Dict[str, Callable[[], Sequence[str]]] = {}
        for size in (10_000, 100_000):
            provctl, *words = bench.provctl("workflow", "report")
            run = ended_run(Path(words[-1]), size)
            file = str(bench.folder / f"report-{size}")
            commands[f"of_{size}"] = partial(
                list, [provctl, *words, run, f"--{form}", file]
            )
        found = bench.measure(**commands)
        of_small, of_large = (usage.cpu_s for usage in found.values())
        notes = f"CPU {of_large:.2f} s, of 10,000: {of_small:.2f} s"
        what = f"report --{form} of 100,000, cost of a task"
        yield Finding(what, of_large / of_small / 10, "x", 1.3, notes)


def _watching(bench: Bench, waiting: int, name: str) -> Finding:
    warm_s, seconds = 12.0, 20.0
    file = reporting(
        bench.folder, at_work=100, waiting=waiting, seconds=warm_s + seconds + 30
    )
    bench.env["PROVCTL_EXECUTOR_MAX_CONCURRENT_TASKS"] = "100"
    provctl, *state = bench.provctl()
    run = bench.ask([provctl, "workflow", "submit", str(file), *state, "-o", "name"])
    try:
        command = [provctl, "workflow", "monitor", run, *state]
        cpu, written = watched(command, bench.env, warm_s=warm_s, seconds=seconds)
        status = json.loads(
            bench.ask([provctl, "workflow", "status", run, *state, "-o", "json"])
        )
        at_work = [t for t in status["tasks"] if t["status"] == "running"]
        assert len(at_work) == 100, "all of them reported all the time"
    finally:
        bench.ask([provctl, "workflow", "cancel", run, "--now", *state])
        bench.ask([provctl, "scheduler", "stop", *state])
    notes = f"50 lines of 160; {written / 1000:.1f} kB/s to the terminal"
    return Finding(f"monitor, {name}", cpu, "%", 5.0, notes)


BENCHES: Dict[str, Callable[[Bench], Iterator[Finding]]] = {
    "fan": bench_fan,
    "scripts": bench_scripts,
    "chain": bench_chain,
    "slow": bench_slow,
    "large": bench_large,
    "startup": bench_startup,
    "single": bench_single,
    "library": bench_library,
    "libraries": bench_large_libraries,
    "completion": bench_completion,
    "montage": bench_montage,
    "live": bench_live,
    "frames": bench_frames,
    "reports": bench_reports,
}


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the named benchmarks and print the table."""
    parser = argparse.ArgumentParser(description="Measure provctl.")
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=", ".join(BENCHES))
    parser.add_argument("-n", "--repeat", type=int, default=5, help="runs of each")
    parser.add_argument(
        "--wfinstances",
        type=Path,
        default=os.environ.get("PROVCTL_BENCH_WFINSTANCES"),
        metavar="FOLDER",
        help="recorded workflows (or PROVCTL_BENCH_WFINSTANCES)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        help="measure below this folder, of which a run makes a new one; repeatable",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="earlier figures")
    options = parser.parse_args(arguments)
    unknown = set(options.benches) - set(BENCHES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    become_reaper()
    findings: List[Finding] = []
    for folder in options.folder or [Path(tempfile.gettempdir())]:
        for finding in _measured(options, folder):
            sys.stdout.write(f"{finding}\n")
            sys.stdout.flush()
            findings.append(finding)
    if options.json is not None:
        save(findings, options.json)
    compared = [] if options.compare is None else compare(findings, options.compare)
    sys.stdout.writelines(f"{line}\n" for line in compared)
    is_slower = any(line.endswith("SLOWER") for line in compared)
    return int(is_slower or any(finding.missed for finding in findings))


def _measured(options: argparse.Namespace, folder: Path) -> Iterator[Finding]:
    place = file_system(folder)
    with tempfile.TemporaryDirectory(prefix="provctl-bench-", dir=folder) as made:
        bench = Bench(Path(made), options.repeat, options.wfinstances)
        for name in options.benches or BENCHES:
            for finding in BENCHES[name](bench):
                yield replace(finding, place=place)


if __name__ == "__main__":
    sys.exit(main())
