"""Default paths are those of platformdirs."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import platformdirs
import pytest

from provctl.config.paths import cache_dir, config_files, state_dir
from provctl.config.settings import Settings


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c", "XDG_CACHE_HOME": "/x"},
        {"XDG_CONFIG_DIRS": "/one:/two"},
        {"XDG_STATE_HOME": "", "XDG_CONFIG_DIRS": "", "XDG_CACHE_HOME": " "},
    ],
    ids=["usual", "chosen", "several", "empty"],
)
def test_default_paths_equal_those_of_platformdirs(
    environ: Dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_HOME", "CONFIG_HOME", "CACHE_HOME", "CONFIG_DIRS"):
        monkeypatch.delenv(f"XDG_{name}", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert state_dir(Settings()) == Path(platformdirs.user_state_dir("provctl"))
    assert cache_dir() == Path(platformdirs.user_cache_dir("provctl"))
    system, user = config_files(environ={}, config_file=None)
    assert system.path.parent == Path(platformdirs.site_config_dir("provctl"))
    assert user.path.parent == Path(platformdirs.user_config_dir("provctl"))
