"""Stores for tests: on a file with the writer thread, closed at the end, with no thread left."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.clock import SystemClock
from syncd.store.engine import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncd.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    """A store on a file, written by its own thread."""
    opened = Store.open(path, clock=SystemClock())
    yield opened
    await opened.aclose()
    assert not [thread for thread in threading.enumerate() if thread.name == "store-writer"]
