"""A run as JUnit XML for CI systems: a test case for each task.

A task that succeeded after a failed attempt is flaky, as in Maven Surefire
(`flakyFailure`); the earlier attempts of a failed task are its reruns.
"""

from __future__ import annotations

from typing import Any, List, Sequence

from provctl.base.light_dataclass import light_dataclass


@light_dataclass
class JUnitFailure:
    """A failure of an attempt or a task; `kind` is the outcome, `log` its last lines."""

    kind: str
    message: str
    log: str = ""


@light_dataclass
class JUnitTestCase:
    """A task: `outcome` as in `TaskView`; `faults` of all its attempts, in order."""

    name: str
    outcome: str
    took_s: float
    message: str = ""
    faults: Sequence[JUnitFailure] = ()


@light_dataclass
class JUnitTestSuite:
    """A run: `began` is ISO 8601."""

    name: str
    run: str
    began: str
    took_s: float
    cases: Sequence[JUnitTestCase]


_NOT_RUN = ("skipped", "cancelled", "waiting")
# The result is unknown, so these are errors and not failures of the task.
_UNKNOWN = ("lost", "interrupted")


def as_junit(suites: Sequence[JUnitTestSuite]) -> bytes:
    """Return the report file about runs, with one suite for each."""
    import io

    from junitparser import xunit2 as untyped

    xunit2: Any = untyped

    document = xunit2.JUnitXml(" ".join(dict.fromkeys(each.name for each in suites)))
    for suite in suites:
        written = xunit2.TestSuite(suite.name)
        written.timestamp = suite.began
        written.hostname = suite.run
        # `add_testcase` counts all cases again, `add_testsuite` compares all suites.
        written.extend(_case(case, suite, xunit2) for case in suite.cases)
        document.append(written)
    document.update_statistics()
    # It would be the sum of the cases, but these may run in parallel.
    for suite, written in zip(suites, document):
        written.time = round(suite.took_s, 3)
    document.time = round(sum(suite.took_s for suite in suites), 3)
    file = io.BytesIO()
    document.write(file)
    return file.getvalue()


def _case(case: JUnitTestCase, suite: JUnitTestSuite, xunit2: Any) -> Any:
    from junitparser import Error, Failure, Skipped

    written = xunit2.TestCase(case.name, suite.name, round(case.took_s, 3))
    faults: List[JUnitFailure] = list(case.faults)
    if case.outcome == "succeeded":
        for fault in faults:
            written.add_interim_result(_rerun(xunit2.FlakyFailure, fault))
    elif case.outcome in _NOT_RUN:
        written.result = [Skipped(case.message or case.outcome)]
    else:
        last = faults.pop() if faults else JUnitFailure(case.outcome, case.message)
        result = (Error if last.kind in _UNKNOWN else Failure)(last.message, last.kind)
        result.text = last.log or last.message
        written.result = [result]
        for fault in faults:
            written.add_interim_result(_rerun(xunit2.RerunFailure, fault))
    return written


def _rerun(kind: Any, fault: JUnitFailure) -> Any:
    result = kind(fault.message, fault.kind)
    result.stack_trace = fault.log or fault.message
    return result
