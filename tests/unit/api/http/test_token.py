"""The access token is created once, is private, and is compared completely."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from provctl.api.http.token import load_or_create_token, matches
from provctl.errors import StateDirError

if TYPE_CHECKING:
    from pathlib import Path


def test_token_is_created_once_and_is_private(tmp_path: Path) -> None:
    place = tmp_path / "token"
    token = load_or_create_token(place)
    assert len(token) == 64
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert load_or_create_token(place) == token
    assert [path.name for path in tmp_path.glob("token*")] == ["token"]
    place.unlink()
    assert load_or_create_token(place) != token


@pytest.mark.parametrize("content", ["", "abc\n", "0" * 63 + "\n", "g" * 64])
def test_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    place = tmp_path / "token"
    place.write_text(content)
    place.chmod(0o600)
    with pytest.raises(StateDirError, match="does not contain a token"):
        load_or_create_token(place)


def test_uncreatable_token_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="No such file"):
        load_or_create_token(tmp_path / "missing" / "token")


def test_only_the_complete_token_matches() -> None:
    token = "0123456789abcdef" * 4
    assert matches(f"Bearer {token}".encode(), token)
    assert matches(f"bearer  {token} ".encode(), token)
    for wrong in (b"", b"Bearer", token.encode(), f"Bearer {token[1:]}".encode()):
        assert not matches(wrong, token)
    assert not matches(f"Basic {token}".encode(), token)
    assert not matches(b"Bearer \xff", token)
