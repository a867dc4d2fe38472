"""A pytest plugin for plugin authors: async tests on asyncio, and a test fails that blocks its event loop.

Load it with `-p syncd.testing.pytest_plugin`. Time the machine spent on other programs is taken off first, where
the system tells it (Linux), so that a busy machine fails no test.
"""

from __future__ import annotations

import time
from asyncio.events import Handle
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

PARTS = (
    "stage",
    "orders",
    "changes",
    "shipments",
    "stock",
    "faults",
    "package",
    "webhooks",
    "sign_in",
    "options",
    "judge",
)
CONTRACT = ("contract", "wire_cases", *(f"contract_{part}" for part in PARTS))
pytest.register_assert_rewrite(*(f"syncd.testing.{name}" for name in CONTRACT))

BLOCKED_SECONDS = 3.0
SCHEDULER = Path("/proc/thread-self/schedstat")


def _starved_seconds() -> float:
    """How long this thread has waited for a processor so far; 0 where the system does not tell."""
    try:
        return int(SCHEDULER.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _named(handle: Handle) -> str:
    """What a callback is: the task it moves on, or itself."""
    callback = getattr(handle, "_callback", None)
    return repr(getattr(callback, "__self__", None) or handle)


@contextmanager
def loop_watch(blocked_seconds: float = BLOCKED_SECONDS) -> Iterator[list[str]]:
    """Measure every callback of every loop of this process; yields what blocked for longer."""
    blocked: list[str] = []
    run: Callable[[Handle], None] = Handle._run  # noqa: SLF001  # the one place all callbacks pass
    starved_before = _starved_seconds()

    def measured(handle: Handle) -> None:
        began = time.monotonic()
        run(handle)
        seconds = time.monotonic() - began
        if seconds > blocked_seconds and seconds - (_starved_seconds() - starved_before) > blocked_seconds:
            blocked.append(f"the loop stood still for {seconds:.1f} s in {_named(handle):.300}")

    Handle._run = measured  # type: ignore[method-assign, assignment]  # noqa: SLF001  # put back below
    try:
        yield blocked
    finally:
        Handle._run = run  # type: ignore[method-assign, assignment]  # noqa: SLF001


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    if pyfuncitem.get_closest_marker("anyio") is None:
        return (yield)
    with loop_watch() as blocked:
        result = yield
    if blocked:
        pytest.fail("; ".join(blocked), pytrace=False)
    return result


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio is the one backend."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    # Registered once more after all entry points: the fixture registered last wins over anyio's own.
    late = ModuleType("syncd_fixtures")
    late.anyio_backend = anyio_backend  # type: ignore[attr-defined]  # a module made here
    config.pluginmanager.register(late, "syncd-fixtures")
