"""Accounts for provider tests: AWS for each module, UpCloud for each test."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.support.moto import Aws
from tests.support.upcloud import UpCloud


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with Aws(tmp_path_factory.mktemp("aws")) as account:
        yield account


@pytest.fixture
def upcloud() -> Iterator[UpCloud]:
    with UpCloud() as account:
        yield account
