"""The messages between an owner and the agent on a node: one JSON object per line.

    agent: hello                     identifies it: protocol, root, boot, processors
    owner: hello, then any of
           launch                    start an attempt that was granted to this node
           ask                       ask for the state of these attempts
           tell                      stop, kill, freeze or thaw one
           got, again                its end is stored; its end arrived damaged
           ping
    agent: state                     running, never, unknown or refused
           log, end                  bytes of a log; the sealed exit record
           refused, pong

Bytes are encoded as text of the code points 0 to 255, so that they arrive unchanged.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional
from zlib import crc32

from provctl.errors import ProvctlError
from provctl.executors.protocol import AttemptRef, LaunchSpec, RemoteWork

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = 1  # raised when older agents would misunderstand
LINE_MAX = 64 << 20  # bytes

Message = Dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PURPOSES = ("run", "undo", "probe")
_FIELDS = ("cwd", "timeout_s", "grace_s", "output_max", "log_max", "keep_processes")


class ProtocolMismatch(ProvctlError):
    """A message from the other side does not follow this protocol."""

    exit_code = 32


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line. Raises ProtocolMismatch."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("say"), str):
        text = line[:80].decode("ascii", "backslashreplace")
        problem = f"no message of a node agent: {text}"
        raise ProtocolMismatch(problem)
    return message


def to_text(data: bytes) -> str:
    """Return bytes as text that JSON can carry."""
    return data.decode("latin-1")


def to_bytes(text: str) -> bytes:
    """Return the bytes of such a text."""
    return text.encode("latin-1")


def ref_fields(place: AttemptRef) -> Message:
    """Return the fields that identify an attempt on any machine."""
    return {
        "run": place.run,
        "task": place.task,
        "attempt": place.attempt,
        "index": place.index,
        "purpose": place.purpose,
    }


def ref_of(fields: Mapping[str, Any], runs: Path) -> AttemptRef:
    """Return the attempt that fields identify, below the folder `runs` of this machine.

    Raises ProtocolMismatch, so that a message cannot name a file elsewhere.
    """
    run, task = fields.get("run"), fields.get("task")
    attempt, index = fields.get("attempt"), fields.get("index")
    purpose = fields.get("purpose")
    if (
        not (isinstance(run, str) and _NAME.fullmatch(run))
        or not (isinstance(task, str) and task)
        or not (isinstance(attempt, int) and isinstance(index, int))
        or attempt < 0
        or index < 0
        or purpose not in _PURPOSES
    ):
        problem = "a message names no attempt"
        raise ProtocolMismatch(problem)
    folder = runs / run / "attempts"
    return AttemptRef(run, task, attempt, folder, index, str(purpose))


def spec_fields(spec: LaunchSpec) -> Message:
    """Return the fields of a launch spec, without what only its own machine can use."""
    fields: Message = {name: getattr(spec, name) for name in _FIELDS}
    fields["argv"] = list(spec.argv)
    fields["env"] = dict(spec.env)
    fields["masked"] = list(spec.masked)
    fields["input"] = None if spec.input is None else spec.input.decode()
    if spec.remote is not None:
        fields["remote"] = dict(vars(spec.remote), place=None)
    return fields


def spec_of(fields: Mapping[str, Any], place: AttemptRef) -> LaunchSpec:
    """Return the launch spec for an attempt here. Raises ProtocolMismatch."""
    try:
        spec = LaunchSpec(
            place,
            tuple(fields["argv"]),
            dict(fields["env"]),
            masked=tuple(fields["masked"]),
            input=None if fields["input"] is None else fields["input"].encode(),
            **{name: fields[name] for name in _FIELDS},
        )
        given = fields.get("remote")
        return spec if given is None else replace(spec, remote=RemoteWork(**given))
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        message = f"not a whole order: {problem}"
        raise ProtocolMismatch(message) from None


def is_sealed_record(raw: bytes, mark: str) -> bool:
    """Whether bytes are the whole exit record of an attempt, sealed by its shim."""
    body, found, seal = raw.rpartition(b',"crc":"')
    if not found or seal != b'%08x"}\n' % crc32(body):
        return False
    try:
        return bool(json.loads(raw).get("id", mark) == mark)
    except (ValueError, AttributeError):
        return False


def version_problem(hello: Mapping[str, Any], own_version: str) -> Optional[str]:
    """Return why two programs cannot work together; None if they can."""
    if hello.get("v") == PROTOCOL:
        return None
    return (
        f"its provctl {hello.get('version')} speaks protocol {hello.get('v')} of node"
        f" agents, this one ({own_version}) protocol {PROTOCOL}: install the same"
        " version on both"
    )


def split_lines(unread: bytes, data: bytes) -> List[bytes]:
    """Return the whole lines, followed by the unfinished rest."""
    return (unread + data).split(b"\n")
