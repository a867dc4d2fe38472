"""Virtual time: an asyncio loop that jumps to its next timer instead of sleeping, and the clock on it.

No thread may work under it (store inline, emulators in process). The same seed gives the same order of tasks, another
seed another one; only wake-ups of tasks are shuffled, callbacks keep their order. Nothing left to wake is an error.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import math
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from random import Random
from typing import Any, TypeVar

import anyio

from syncd.clock import Clock, Wake
from syncd.model import to_us
from syncd.testing.fakes import START

T = TypeVar("T")
RARELY = (50_000, 20, 20)


class Deadlock(AssertionError):
    """Every task waits, and no timer will end it."""


class _Task(asyncio.Task[Any]):
    """A task with a hash that repeats, so that sets of tasks are gone through in the same order every time."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Jump:
    """A selector without files: the loop's time jumps to its next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("every task waits, and no timer will end it")
        if timeout > 0:
            self._loop.jump()
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now = 0.0
        self._rng = Random(seed)  # noqa: S311  # the order must repeat
        self._selector = _Jump(self)
        self._clock_resolution = 1e-9
        self._numbers = itertools.count(1)
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # typed more narrowly than it is called

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]  # typed more narrowly than it is called
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """As the base does it, without its checks: no other thread calls, and no file is watched."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]  # the loop's own queue
        return handle

    def jump(self) -> None:
        """Move on to the next timer."""
        self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]  # the loop's own heap

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # never returns
        raise AssertionError(f"a thread under virtual time: {func!r}")

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        task = _Task.__new__(_Task)
        task.number = next(self._numbers)  # before __init__: that puts the task into a set
        task.__init__(work, loop=loop, context=context)  # type: ignore[misc]
        return task

    def _run_once(self) -> None:
        """One turn, the tasks that can run in a seeded order."""
        ready = self._ready  # type: ignore[attr-defined]  # the loop's own queue
        places = [i for i, handle in enumerate(ready) if isinstance(_owner(handle), _Task)] if len(ready) > 1 else ()
        if len(places) > 1:
            # By number first: a cancelled anyio scope wakes the scopes inside it in the order of their addresses.
            handles = sorted((ready[i] for i in places), key=lambda handle: _owner(handle).number)
            self._rng.shuffle(handles)
            for place, handle in zip(places, handles, strict=True):
                ready[place] = handle
        super()._run_once()  # type: ignore[misc]  # private, and the one place a turn begins

    def _process_events(self, events: object) -> None:
        """There are no files."""

    def _write_to_self(self) -> None:
        """There is nothing to wake: nobody else runs."""


def _owner(handle: asyncio.Handle) -> Any:
    return getattr(getattr(handle, "_callback", None), "__self__", None)


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]], seed: int = 1) -> T:
    """Run a coroutine to its end in virtual time. Raises Deadlock when nothing can go on."""
    with _rare_collections(), asyncio.Runner(loop_factory=lambda: VirtualLoop(seed)) as runner:
        return runner.run(main())


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Have the garbage collector look rarely, and not at what was there before: a play makes little that it finds."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


class VirtualClock(Clock):
    """The clock of the running virtual loop. Wall and monotonic time move together until `set_wall`."""

    def __init__(self, start: datetime = START) -> None:
        self._start_us = to_us(start)

    def now_us(self) -> int:
        return self._start_us + round(self.monotonic() * 1e6)

    def monotonic(self) -> float:
        now: float = asyncio.get_running_loop()._now  # type: ignore[attr-defined]  # noqa: SLF001  # asked at each step
        return now

    def set_wall(self, moment: datetime) -> None:
        """Set the wall time like an operator would; the monotonic time and sleepers do not notice."""
        self._start_us += to_us(moment) - self.now_us()

    async def sleep(self, seconds: float) -> None:
        with anyio.CancelScope(deadline=self.monotonic() + max(0.0, seconds)):
            await (anyio.sleep_forever() if seconds > 0 else anyio.lowlevel.checkpoint())

    async def wait(self, until_us: int | None, wake: Wake) -> bool:
        if wake.is_set():
            wake.clear()
            await anyio.lowlevel.checkpoint()
            return True
        if until_us is not None and until_us <= self.now_us():
            await anyio.lowlevel.checkpoint()
            return False
        deadline = math.inf if until_us is None else (until_us - self._start_us) / 1e6
        with anyio.CancelScope(deadline=deadline):
            await wake.wait()
            return True
        return False

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        return _limit(self.monotonic() + seconds, seconds)


@contextmanager
def _limit(deadline: float, seconds: float) -> Iterator[None]:
    with anyio.CancelScope(deadline=deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise TimeoutError(f"longer than {seconds:g} s of virtual time")
