"""Reads the files of attempts on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Union

from provctl.executors.local import attempt_file

if TYPE_CHECKING:
    from pathlib import Path

    from provctl.core.engine.requests import ExitedReport, NeverStartedReport
    from provctl.executors.protocol import AttemptRef, LogReader, ResourceMeter


class LocalAttemptStore:
    """Implements the contract `executors.protocol.AttemptStore`."""

    def is_running(self, place: AttemptRef) -> bool:
        """Whether a shim supervises the attempt."""
        return attempt_file.is_running(place)

    def exit_report(
        self, place: AttemptRef
    ) -> Optional[Union[ExitedReport, NeverStartedReport]]:
        """Return the exit record in the attempt's file."""
        return attempt_file.read_exit_record(place)

    def is_claimed(self, place: AttemptRef) -> bool:
        """Whether a shim, not an owner, took the fence."""
        go = self.location(place)
        return os.path.lexists(go) and not go.is_symlink()

    def has_evidence(self, place: AttemptRef) -> bool:
        """Whether there are files that only a shim that passed the fence creates."""
        return attempt_file.has_evidence(place)

    def remote_status(self, place: AttemptRef) -> str:
        """Return "": the attempt is on no other machine."""
        return ""

    def location(self, place: AttemptRef) -> Path:
        """Return the attempt's file."""
        return place.file("go")

    def open_log(self, path: Path) -> LogReader:
        """Return a reader that recognises what was cut out of the log."""
        from provctl.executors.local.log_reader import LogReader

        return LogReader(path)

    def open_meter(self, place: AttemptRef) -> ResourceMeter:
        """Return a meter of the processes below the shim."""
        from provctl.executors.local.resource_usage import ResourceMeter

        return ResourceMeter(place)
