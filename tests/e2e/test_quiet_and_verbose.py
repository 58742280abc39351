"""-q prints only errors and results, -v prints what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.installed import Provctl


@pytest.mark.parametrize("place", ["before", "behind"])
def test_quiet_prints_only_results_and_errors(provctl: Provctl, place: str) -> None:
    def quiet(*words: object, code: int = 0) -> tuple[str, str]:
        flagged = ["-q", *words] if place == "before" else [*words, "--quiet"]
        done = provctl(*flagged, code=code)
        return done.out, done.err

    out, err = quiet("run", provctl.ends_badly(), code=10)
    assert out.startswith("run ")
    assert "(w) failed after" in out
    assert "started" not in out
    assert err == ""
    out, err = quiet("workflow", "submit", provctl.endless())
    assert out.startswith("Workflow submitted: ")
    assert err == ""
    run = out.split()[-1]
    provctl.until_ready(run)
    assert quiet("cancel", run, "--now") == ("", "")
    assert quiet("wait", run, code=11) == ("", "")
    assert quiet("wait", run, "--for", "succeeded", code=11) == ("", "")
    _, err = quiet("cancel", run, code=41)
    assert err.startswith("error: nothing to cancel")
    for wrong in (["ps", "--since", "soon"], ["ps", "--bogus"], ["nope"]):
        _, err = quiet(*wrong, code=2)
        assert "error: " in err, wrong


def test_verbose_prints_what_is_done(provctl: Provctl) -> None:
    config = provctl.text("c.toml", "[executor]\nmax_concurrent_tasks = 3\n")
    file = provctl.file({"a": {"command": ["true"]}})
    first = provctl("-v", "workflow", "submit", file, "--config", config)
    assert first.out.startswith("Workflow submitted: ")
    assert f"configuration: {config} (given, read)" in first.err
    assert f"state directory: {provctl.state}" in first.err
    assert "1 task, validated in " in first.err
    assert "scheduler: started in " in first.err
    assert "finished in " in first.err
    assert "asked " not in first.err
    again = provctl("workflow", "submit", file, "-vv").err
    (pid,) = provctl.schedulers()
    assert f"scheduler: process {pid}" in again
    assert "control.sock: poke (" in again
    assert "Python " in again
    assert "finished in " not in provctl("workflow", "submit", file).err


def test_quiet_and_verbose_exclude_each_other(provctl: Provctl) -> None:
    for words in (["-q", "ps", "-v"], ["-v", "ps", "-q"], ["ps", "-q", "-v"]):
        assert "use only one of" in provctl(*words, code=2).err
