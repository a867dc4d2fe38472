"""When the daemon says that it is ready, alive and stopping."""

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from syncd.daemon.life import STUCK_US
from syncd.daemon.notify import Notifier
from syncd.sim.stage import Part, Stage
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import ManualClock
from syncd.testing.memory import MemoryShop
from syncd.testing.world import World

pytestmark = pytest.mark.anyio


class Manager:
    """The service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


async def stage_of(clock: ManualClock, manager: Manager, *names: str) -> Stage:
    world = World(clock.now)
    world.stock("tea", 3)
    parts = {}
    for name in names:
        market = world.market(name, visibility_seconds=1)
        market.offer("T", "tea", shown=3)
        parts[name] = Part(MemoryShop(world, market, clock), settings={"poll_seconds": 2})
    stage = await Stage.open(world, parts, clock)
    stage.daemon.notifier = Notifier({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000"})
    return stage


async def test_ready_is_said_once_every_shop_is_checked_or_set_aside(manager: Manager) -> None:
    clock = ManualClock()
    stage = await stage_of(clock, manager, "good", "slow")
    stage.parts["slow"].emulator.faults.add(Fault("*", FaultKind.LATENCY, seconds=20))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await clock.advance(5)
        assert "READY=1" not in manager.heard(), "one shop is still being checked"
        await clock.advance(40)
        heard = manager.heard()
        assert heard.count("READY=1") == 1
        assert any(line.startswith("STATUS=") for line in heard)
        stage.daemon.stop()
        await clock.advance(30)
        assert "STOPPING=1" in manager.heard()
    await stage.aclose()


async def test_the_watchdog_beats_only_while_the_loops_turn(manager: Manager) -> None:
    clock = ManualClock()
    stage = await stage_of(clock, manager, "good")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await clock.advance(10)
        assert manager.heard().count("WATCHDOG=1") >= 3
        stage.daemon.runners["good"].turns["intake"] = clock.now_us() - STUCK_US - 1
        stage.daemon.runners["good"].turns["stuck"] = clock.now_us() - STUCK_US - 1
        assert stage.daemon.stuck()
        manager.heard()
        await clock.advance(10)
        assert "WATCHDOG=1" not in manager.heard()
        stage.daemon.stop()
        await clock.advance(5)
    await stage.aclose()


async def test_a_long_order_read_that_gets_on_page_by_page_is_not_stuck(manager: Manager) -> None:
    clock = ManualClock()
    stage = await stage_of(clock, manager, "good")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: stage.daemon.run(signals=False))
        await clock.advance(10)
        runner = stage.daemon.runners["good"]
        assert runner.dispatcher is not None
        runner.turns["write"] = runner.turns["intake"] = clock.now_us() - STUCK_US - 1
        runner.dispatcher.intake.page_us = clock.now_us() - 1
        assert stage.daemon.stuck() == []
        runner.dispatcher.intake.page_us = clock.now_us() - STUCK_US - 1
        assert stage.daemon.stuck() == ["good/write", "good/intake"]
        stage.daemon.stop()
        await clock.advance(5)
    await stage.aclose()
