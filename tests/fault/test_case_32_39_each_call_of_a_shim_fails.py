"""Each system call with which a shim changes a file fails once.

A failure before the start of the task may prevent it, but never causes a second start.
A failure after the end of the task does not lose its exit code.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.attempts import children_of
from tests.support.fault_workflow import CODES, chain
from tests.support.strace import attached, has_injected, need_strace

if TYPE_CHECKING:
    from tests.support.installed import Provctl


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize(
    ("call", "when", "begins"),
    [
        ("fallocate", 1, False),
        ("link,?linkat", 1, False),
        ("unlink,?unlinkat", 1, False),
        ("fsync", 1, False),  # of the folder, so that the fence is durable
        ("pwrite64", 1, True),
        ("ftruncate", 1, True),
        ("fsync", 2, True),  # of the exit record
    ],
)
def test_case_32_39_shim_fault_repeats_no_task_and_loses_no_exit(
    provctl: Provctl, call: str, when: int, error: str, *, begins: bool
) -> None:
    need_strace()
    provctl("scheduler", "start")
    (parent,) = children_of(provctl.schedulers()[0])
    log = provctl.folder / "strace"
    inject = f"inject=?{call}:error={error}:when={when}"
    with attached(parent, log, ("-f", "-e", f"trace=?{call}", "-e", inject)):
        run = provctl.submit(chain(provctl))
        done = provctl("wait", run, code=None)
    assert has_injected(log)
    ran = Counter((provctl.folder / "ran").read_text().split())
    assert max(ran.values()) == 1, ran
    # What is only full is waited for.
    begins = begins or error == "ENOSPC"
    codes = {t["id"]: t["exit_code"] for t in provctl.status(run)["tasks"]}
    if begins:
        assert codes == CODES
    assert done.code == 10, provctl.status(run)
    for task, code in codes.items():
        assert code == CODES[task] if task in ran else code is None, (task, codes)
