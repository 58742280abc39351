"""Task output in a CI job log: one group at a time, and nothing twice."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Callable, List, Tuple

import pytest

from provctl.cli.ci.summary import markdown_of, summaries_of
from provctl.cli.session import Session
from provctl.cli.watching.line_view import LineRunView, LineViewOptions
from provctl.core.engine import events as ev
from provctl.core.model.attempt_result import AttemptResult
from provctl.core.model.workflow import RetryPolicy, Workflow
from provctl.render.ci_dialects import CiLogFormat, GitHub, GitLab
from provctl.runs.follow import Follower
from tests.support.job_logs import GitHubJob, GitLabJob
from tests.support.run_folders import append, state_folder, submit
from tests.support.workflows import a_workflow, task

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.model.status import TaskOutcome

Golden = Callable[[str, str], None]

WORKFLOW = a_workflow(
    task("server-1"),
    task("server-2"),
    task("dns", retry=RetryPolicy(attempts=2)),
    task("apps", ["server-2"]),
    name="deploy",
)


class Job:
    """A run on disk, watched in a job log; the test sets the time."""

    def __init__(
        self,
        folder: Path,
        dialect: CiLogFormat,
        workflow: Workflow = WORKFLOW,
        **how: Any,
    ) -> None:
        self.now = 1000.0
        self.out = io.StringIO()
        self._state = state_folder(folder)
        self.folder = submit(self._state, workflow)
        self._follower = Follower(self.folder)
        given = {"groups": True, "heartbeat_s": 60.0, **how}
        manner = LineViewOptions(
            dialect, now=lambda: self.now, stamp=lambda at: f"{at:.0f}", **given
        )
        self.screen = LineRunView(self._state, self.out, manner)
        self.hear()

    @property
    def text(self) -> str:
        return self.out.getvalue()

    def hear(self, *events: Any) -> None:
        """Apply events to the run."""
        if events:
            append(self.folder, events)
        news = self._follower.read()
        self.screen.on_update(self._follower.run, news)

    def start(self, *tasks: str, attempt: int = 1) -> None:
        self.hear(*(ev.AttemptStarted("r", self.now, t, attempt) for t in tasks))

    def end(self, name: str, outcome: TaskOutcome = "succeeded", **fields: Any) -> None:
        attempt = fields.pop("attempt", 1)
        code = 0 if outcome == "succeeded" else 1
        self.hear(
            ev.AttemptFinished(
                "r",
                self.now,
                name,
                attempt,
                outcome,
                result=AttemptResult(code),
                **fields,
            )
        )

    def write(self, name: str, text: str, attempt: int = 1) -> Path:
        """Let a task write."""
        index = self._follower.run.tasks[name].task.index
        log = self.folder.log_of(index, attempt)
        with log.open("ab") as file:
            file.write(text.encode())
        return log

    def tick(self, after_s: float = 0.1) -> None:
        self.now += after_s
        self.screen.on_tick([self._follower.run])

    def close(self) -> None:
        self.screen.close([self._follower.run])


def play(job: Job) -> str:
    """Two parallel servers, of which one fails; a flaky task; lines like commands."""
    job.start("server-1", "server-2", "dns")
    job.write("server-1", "creating\n::set-output name=x::y\n")
    job.tick()
    job.write("dns", "no such zone")
    job.end("dns", "failed", retry_at=1005.0)
    job.tick()
    job.write("server-1", "waiting for ssh\r\x1b[0K 50%\n  ##[endgroup]\n")
    job.write("server-2", "creating\nsection_end:1:x\r\x1b[0K\n")
    job.tick()
    job.end("server-1")
    job.tick(3.0)
    job.hear(ev.RetryDue("r", job.now, "dns"))
    job.start("dns", attempt=2)
    job.write("server-2", "quota exceeded\n")
    job.end("server-2", "failed")
    job.hear(ev.TaskSkipped("r", job.now, "apps", "server-2 failed"))
    job.write("dns", "done\n", attempt=2)
    job.end("dns", attempt=2)
    job.tick()
    job.hear(ev.RunFinished("r", job.now, "failed"))
    job.close()
    return job.text


def test_github_log_matches_its_golden_file(tmp_path: Path, golden: Golden) -> None:
    text = play(Job(tmp_path, GitHub()))
    golden("ui/job-github.txt", text)
    job = GitHubJob(text)
    assert (job.obeyed, job.remarks) == ([], [])
    assert [group.title for group in job.groups] == [
        "server-1",
        "dns",
        "server-1, continued",
        "server-2",
        "dns (attempt 2)",
    ]


def test_gitlab_log_matches_its_golden_file(tmp_path: Path, golden: Golden) -> None:
    text = play(Job(tmp_path, GitLab()))
    golden("ui/job-gitlab.txt", text.replace("\x1b", "<ESC>").replace("\r", "<CR>"))
    folded = {group.title: group.folded for group in GitLabJob(text).groups}
    assert folded == {
        "server-1": True,
        "dns": False,
        "server-1, continued": True,
        "server-2": True,
        "dns (attempt 2)": True,
    }


def test_plain_log_matches_its_golden_file(tmp_path: Path, golden: Golden) -> None:
    golden("ui/job-other.txt", play(Job(tmp_path, CiLogFormat())))


def test_output_is_shown_before_the_task_finishes(tmp_path: Path) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1")
    job.tick()
    assert "::group::" not in job.text  # it said nothing
    job.write("server-1", "one\nhalf a li")
    job.tick()
    assert job.text.endswith("::group::server-1\none\n")
    job.write("server-1", "ne\n")
    job.tick()
    assert job.text.endswith("one\nhalf a line\n")


def test_output_with_secrets_is_shown_only_after_redaction(
    tmp_path: Path,
) -> None:
    secrets = {"TOKEN": "env:TOKEN"}
    workflow = a_workflow(task("login", secrets=secrets), task("other"))
    job = Job(tmp_path, GitHub(), workflow)
    job.start("login", "other")
    log = job.write("login", "token: correct-horse\n")
    job.write("other", "hello\n")
    job.tick()
    job.tick(60.0)
    assert "hello" in job.text
    log.write_bytes(b"token: *************\n")
    job.end("login")
    job.tick()
    assert "token: ****" in job.text
    assert "correct-horse" not in job.text


def test_other_tasks_wait_for_their_group_but_not_forever(tmp_path: Path) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1", "server-2")
    job.write("server-1", "one\n")
    job.tick()
    job.write("server-2", "two\n")
    job.tick(9.0)
    assert "two" not in job.text
    job.tick(1.0)
    assert job.text.endswith("::endgroup::\n::group::server-2\ntwo\n")
    job.write("server-1", "three\n")
    job.tick(10.0)
    assert job.text.endswith("::endgroup::\n::group::server-1, continued\nthree\n")
    job.close()
    assert len(GitHubJob(job.text).groups) == 3


def test_finished_task_is_reported_when_the_open_group_is_silent(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1", "server-2")
    job.write("server-1", "one\n")
    job.tick()
    job.end("server-2")
    job.tick(9.0)
    assert "server-2  succeeded" not in job.text
    job.tick(1.0)
    assert "server-2  succeeded" in job.text


def test_finished_task_is_reported_although_another_keeps_writing(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1", "server-2")
    job.write("server-1", "one\n")
    job.tick()
    job.end("server-2")
    for _ in range(6):
        assert "server-2  succeeded" not in job.text
        job.write("server-1", "more\n")
        job.tick(5.01)
    assert "server-2  succeeded" in job.text
    job.close()
    assert [len(group.lines) for group in GitHubJob(job.text).groups] == [7]


def test_failure_is_shown_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1", "server-2")
    job.write("server-1", "one\n")
    job.tick()
    job.write("server-2", "why\n")
    job.end("server-2", "failed")
    assert "why" not in job.text
    job.tick()
    assert "why" in job.text


@pytest.mark.parametrize("while_it_runs", [True, False])
def test_long_log_is_shortened(tmp_path: Path, while_it_runs: bool) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1")
    lines = [f"line {n:06}" for n in range(100_000)]
    log = job.write("server-1", "\n".join(lines) + "\n")
    if while_it_runs:
        job.tick()
    job.end("server-1")
    job.tick()
    job.close()
    shown = [line for group in GitHubJob(job.text).groups for line in group.lines]
    told = [line for line in shown if line.startswith("line")]
    assert len(job.text) < 2 * (1 << 18)
    assert told[:3] == lines[:3]
    assert told[-1] == lines[-1]
    assert len(set(told)) == len(told)
    (notice,) = [line for line in shown if not line.startswith("line")]
    assert str(log) in notice


def test_failed_log_is_shown_at_the_end_with_its_start_and_its_end(
    tmp_path: Path,
) -> None:
    job = Job(tmp_path, CiLogFormat(), a_workflow(task("server-1")), groups=False)
    job.start("server-1")
    log = job.write("server-1", "".join(f"line {n}\n" for n in range(5000)))
    job.end("server-1", "failed")
    job.hear(ev.RunFinished("r", job.now, "failed"))
    job.close()
    told = [line.strip() for line in job.text.splitlines() if line.startswith("    ")]
    assert len(told) == 1001
    assert told[0] == "line 0"
    assert told[250] == f"... see {log} for the lines omitted here"
    assert told[-1] == "line 4999"
    assert job.text.splitlines()[-1].endswith("provctl retry r")


def test_colours_of_tasks_are_kept(tmp_path: Path) -> None:
    job = Job(tmp_path, GitLab(colours=True))
    job.start("server-1")
    job.write("server-1", "\x1b[33mone\ntwo\x1b[2J\n")
    job.tick()
    job.end("server-1", "failed")
    job.close()
    first, *_ = GitLabJob(job.text).groups
    assert first.lines == ["\x1b[33mone\x1b[0m", "two"]
    assert "    \x1b[33mone\x1b[0m" in GitLabJob(job.text).outside


def test_heartbeat_after_a_silence_names_running_tasks(tmp_path: Path) -> None:
    job = Job(tmp_path, CiLogFormat(), groups=False)
    job.start("server-1", "server-2")
    said = job.text
    job.tick(59.0)
    assert job.text == said
    job.tick(2.0)
    job.tick(2.0)
    news = job.text[len(said) :]
    assert news == "1061 run r still running: server-1 for 1m01s; server-2 for 1m01s\n"
    job.end("server-1")
    job.tick(59.0)
    job.tick(2.0)
    assert job.text.splitlines()[-1] == "1124 run r still running: server-2 for 2m04s"


def test_heartbeat_can_be_turned_off(tmp_path: Path) -> None:
    job = Job(tmp_path, CiLogFormat(), heartbeat_s=0)
    job.start("server-1")
    job.tick(10_000.0)
    assert "goes on" not in job.text


def test_heartbeat_does_not_close_an_open_group(tmp_path: Path) -> None:
    job = Job(tmp_path, GitHub())
    job.start("server-1")
    job.write("server-1", "one\n")
    job.tick()
    job.tick(61.0)
    job.write("server-1", "two\n")
    job.tick()
    job.close()
    (group,) = GitHubJob(job.text).groups
    assert group.lines[0] == "one"
    assert "still running: server-1" in group.lines[1]
    assert group.lines[2] == "two"


def test_closed_output_is_reported_once(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    job = Job(tmp_path, GitHub())
    job.screen = LineRunView(
        job._state,
        Gone(),
        LineViewOptions(
            GitHub(), groups=True, heartbeat_s=1, now=lambda: job.now, stamp=str
        ),
    )
    job.hear()
    job.start("server-1")
    with pytest.raises(BrokenPipeError):
        job.tick()
    job.tick()
    job.close()


# --- the summary -------------------------------------------------------------------


def summary_of(job: Job, folder: Path) -> str:
    session = Session(flags={"storage.data_dir": str(folder / "state")})
    return markdown_of(summaries_of(session, ["r"]))


def test_summary_of_a_run_matches_its_golden_file(
    tmp_path: Path, golden: Golden
) -> None:
    job = Job(tmp_path, GitHub())
    play(job)
    golden("ui/summary.md", summary_of(job, tmp_path))


@pytest.mark.parametrize(("size", "drawn"), [(200, True), (201, False), (5000, False)])
def test_summary_of_many_tasks_is_limited(
    tmp_path: Path, size: int, drawn: bool
) -> None:
    names = [f"{'t' * 90}{n}" for n in range(size)]
    job = Job(tmp_path, GitHub(), a_workflow(*map(task, names)))
    events: List[Any] = []
    for name in names:
        events.append(ev.AttemptStarted("r", 1000.0, name, 1))
        job.write(name, "`" * 500 + "\n" + "x" * 5000 + "\n")
        events.append(
            ev.AttemptFinished("r", 1001.0, name, 1, "failed", result=AttemptResult(1))
        )
    job.hear(*events, ev.RunFinished("r", 1001.0, "failed"))
    text = summary_of(job, tmp_path)
    assert ("```mermaid" in text) == drawn
    assert len(text) < 1 << 18
    assert text.count("<details") == 10
    assert text.endswith("<code>provctl retry r</code>\n")


def test_dependencies_beyond_the_mermaid_limit_are_listed_as_text(
    tmp_path: Path,
) -> None:
    first = [f"a{n}" for n in range(25)]
    tasks = [*map(task, first), *(task(f"b{n}", first) for n in range(21))]
    text = summary_of(Job(tmp_path, GitHub(), a_workflow(*tasks)), tmp_path)
    assert "mermaid" not in text
    assert text.count("<- a0, a1, a2") == 21
    assert text.startswith("## \N{HOURGLASS WITH FLOWING SAND} w queued\n")


def test_time_for_many_tasks_grows_linearly(tmp_path: Path) -> None:
    names = [f"t{n}" for n in range(2000)]
    job = Job(tmp_path, GitHub(), a_workflow(*map(task, names)))
    began: List[Tuple[str, int]] = [(name, 1) for name in names]
    events: List[Any] = []
    for name, attempt in began:
        events += [
            ev.AttemptStarted("r", 1000.0, name, attempt),
            ev.AttemptFinished(
                "r", 1001.0, name, attempt, "succeeded", result=AttemptResult(0)
            ),
        ]
    job.hear(*events)
    job.close()
    assert job.text.count("succeeded in 1s") == 2000
