"""The file with which a service manager runs the scheduler: its text and its path.

The syntax of units is that of systemd.unit(5), systemd.service(5) and systemd.exec(5).
The syntax of property lists is that of launchd.plist(5).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, Mapping, Optional, Tuple

from provctl.base.light_dataclass import light_dataclass

# The first line of the file; provctl did not write a file that starts otherwise.
MARK = (
    "# Written by provctl scheduler install. To remove it: provctl scheduler uninstall"
)
# Tells the scheduler which manager's service it is: "user" or "system".
SERVICE = "PROVCTL_SERVICE"
LABEL = "provctl.scheduler"


@light_dataclass
class ServiceSpec:
    """What to run. `scope` is "user" or "system", `user` the account to run as."""

    argv: Tuple[str, ...]
    environment: Mapping[str, str]
    scope: str
    user: Optional[str] = None


@light_dataclass
class ServiceFile:
    """A file to write. `enable` and `disable` are the commands of its manager.

    `after` lists further steps that users may want to take.
    """

    path: Path
    text: str
    enable: Tuple[Tuple[str, ...], ...]
    disable: Tuple[Tuple[str, ...], ...]
    after: Tuple[str, ...] = ()


def systemd(service: ServiceSpec, config_home: Path) -> ServiceFile:
    """Return the unit for systemd."""
    own = service.scope == "user"
    folder = config_home / "systemd/user" if own else Path("/etc/systemd/system")
    ctl: Tuple[str, ...] = ("systemctl", "--user") if own else ("systemctl",)
    name = "provctl.service"
    environment = {**service.environment, SERVICE: service.scope}
    lines = [
        MARK,
        "[Unit]",
        "Description=provctl scheduler",
        "StartLimitIntervalSec=60",
        "StartLimitBurst=5",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart={' '.join(map(_word, service.argv))}",
        *(f"Environment={_value(k, v)}" for k, v in environment.items()),
        *([f"User={service.user}"] if service.user else []),
        "# Only the scheduler itself is stopped: tasks continue, and the next"
        " scheduler adopts them.",
        "KillMode=process",
        "# If a task uses too much memory, only that task fails.",
        "OOMPolicy=continue",
        "Restart=on-failure",
        "RestartSec=2",
        "UMask=0077",
        "LimitNOFILE=65536",
        "# The service is not sandboxed (NoNewPrivileges, ProtectSystem, ...),"
        " because the",
        "# tasks inherit such limits and may have to use sudo or write anywhere.",
        "",
        "[Install]",
        f"WantedBy={'default.target' if own else 'multi-user.target'}",
    ]
    linger = "loginctl enable-linger    (so that it keeps running after you log out)"
    return ServiceFile(
        folder / name,
        "\n".join(lines) + "\n",
        enable=((*ctl, "daemon-reload"), (*ctl, "enable", "--now", name)),
        disable=((*ctl, "disable", "--now", name), (*ctl, "daemon-reload")),
        after=(linger,) if own else (),
    )


def _word(text: str) -> str:
    """Return one word of a command, quoted and with $ escaped."""
    return _quoted(text.replace("$", "$$"))


def _value(name: str, value: str) -> str:
    """Return one assignment; $ needs no escape there."""
    return _quoted(f"{name}={value}")


def _quoted(text: str) -> str:
    """Return the text in quotes, with % escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + "".join(c if c.isprintable() else _number(c) for c in escaped) + '"'


def _number(char: str) -> str:
    """Return the systemd escape of an invisible character or an undecodable byte."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def launchd(service: ServiceSpec, home: Path) -> ServiceFile:
    """Return the property list for launchd."""
    import plistlib  # imports an XML parser, which the scheduler does not need

    own = service.scope == "user"
    root = home / "Library/LaunchAgents" if own else Path("/Library/LaunchDaemons")
    path = root / f"{LABEL}.plist"
    record: Dict[str, object] = {
        "Label": LABEL,
        "ProgramArguments": list(service.argv),
        "EnvironmentVariables": {**service.environment, SERVICE: service.scope},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        # Only the scheduler itself is stopped: tasks continue.
        "AbandonProcessGroup": True,
        "Umask": 0o077,
    }
    if service.user:
        record["UserName"] = service.user
    header, _, rest = plistlib.dumps(record).decode().partition("\n")
    return ServiceFile(
        path,
        f"{header}\n<!-- {MARK[2:]} -->\n{rest}",
        enable=(("launchctl", "load", "-w", str(path)),),
        disable=(("launchctl", "unload", "-w", str(path)),),
    )


def unit_of(service: ServiceSpec, environ: Mapping[str, str]) -> Optional[ServiceFile]:
    """Return the unit for the manager of this system; None if none is known."""
    home = Path.home()
    if sys.platform == "darwin":
        return launchd(service, home)
    if not sys.platform.startswith("linux"):
        return None
    given = environ.get("XDG_CONFIG_HOME", "")
    return systemd(service, Path(given) if given.startswith("/") else home / ".config")


def is_ours(text: str) -> bool:
    """Return whether provctl wrote an existing file."""
    return MARK[2:] in "\n".join(text.splitlines()[:2])
