"""Gives every configuration test its own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Mapping, Optional

import pytest

from provctl.config.load import LoadedSettings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., LoadedSettings]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders `etc`, `home` and `state` instead of this machine's."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def load(machine: Path) -> Load:
    """Load settings; texts for `system`, `user` and `given` become the files."""

    def loader(
        given: Optional[str] = None,
        *,
        system: Optional[str] = None,
        user: Optional[str] = None,
        environ: Optional[Mapping[str, str]] = None,
        flags: Optional[Mapping[str, object]] = None,
    ) -> LoadedSettings:
        places = {
            machine / "etc/provctl/config.toml": system,
            machine / "home/provctl/config.toml": user,
            machine / "given.toml": given,
        }
        for path, text in places.items():
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        return load_settings(
            flags=flags or {},
            environ=environ or {},
            config_file=None if given is None else str(machine / "given.toml"),
        )

    return loader
