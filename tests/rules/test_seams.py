"""Time, chance and threads come in through their seams only, or a simulated run would not repeat."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.rules.conftest import Sources

TIME = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.sleep",
    "time.localtime",
    "time.gmtime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "asyncio.sleep",
    "asyncio.wait_for",
    "asyncio.timeout",
    "asyncio.timeout_at",
    "anyio.sleep",
    "anyio.sleep_until",
    "anyio.fail_after",
    "anyio.move_on_after",
    "anyio.current_time",
}
CHANCE = {"uuid.uuid1", "uuid.uuid4", "secrets.choice", "os.urandom"}
THREADS = {
    "asyncio.to_thread",
    "anyio.to_thread",
    "anyio.to_thread.run_sync",
    "anyio.from_thread",
    "threading.Thread",
    "threading.Timer",
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.ProcessPoolExecutor",
    "multiprocessing.Process",
}

ALLOWED: dict[str, dict[str, str]] = {
    "src/syncd/clock.py": {
        "time.time_ns": "the clock itself",
        "time.monotonic": "the clock itself",
        "anyio.sleep": "the clock itself",
        "anyio.move_on_after": "the clock itself",
        "anyio.fail_after": "the clock itself",
    },
    "src/syncd/app.py": {"random.SystemRandom": "the composition root gives chance to everybody else"},
    "src/syncd/sdk/sftp.py": {"anyio.move_on_after": "closes a real socket; a simulation has files in memory"},
    "src/syncd/sdk/imap.py": {
        "anyio.to_thread": "the standard mail client blocks; a simulation has mails in memory",
        "anyio.to_thread.run_sync": "the standard mail client blocks; a simulation has mails in memory",
    },
    "src/syncd/testing/sftp_server.py": {"asyncio.sleep": "one turn of the loop, so that sockets close"},
    "src/syncd/testing/fakes.py": {"asyncio.sleep": "turns of the loop; real time only while a thread works"},
    "src/syncd/sim/demo.py": {"anyio.from_thread": "the malls work beside the daemon, on real sockets"},
    "src/syncd/sim/seeds.py": {
        "concurrent.futures.ProcessPoolExecutor": "each seed in a process and a loop of its own"
    },
    "src/syncd/testing/pytest_plugin.py": {"time.monotonic": "measures the real loop"},
}
"""File -> name -> why it may. An entry that is no longer used fails the test."""


def forbidden(name: str, file: str) -> bool:
    """Whether a shipped file may not use a name."""
    if name in THREADS:
        return not file.startswith("src/syncd/store/")
    chance = name.startswith("random.") and name not in ("random.Random", "random.Random.getstate")
    return name in TIME or name in CHANCE or chance


def found(sources: Sources) -> Iterator[tuple[str, int, str]]:
    for path in sources.product():
        for line, name in sources.uses(sources.tree(path)):
            if forbidden(name, sources.name(path)):
                yield sources.name(path), line, name


def test_time_chance_and_threads_come_through_their_seams(sources: Sources) -> None:
    offenders = [f"{file}:{line} {name}" for file, line, name in found(sources) if name not in ALLOWED.get(file, {})]
    assert offenders == []


def test_every_exception_to_the_seams_is_still_needed(sources: Sources) -> None:
    used = {(file, name) for file, _, name in found(sources)}
    allowed = {(file, name) for file, names in ALLOWED.items() for name in names}
    assert allowed - used == set()


def test_no_connection_skips_the_host_key(sources: Sources) -> None:
    offenders = [
        f"{sources.name(path)}:{node.value.lineno}"
        for path in sources.product()
        for node in ast.walk(sources.tree(path))
        if isinstance(node, ast.keyword) and node.arg == "known_hosts"
        if isinstance(node.value, ast.Constant) and node.value.value is None
    ]
    assert offenders == []


def test_the_rule_sees_through_aliases(sources: Sources) -> None:
    sample = ast.parse(
        "import datetime as dt, time\nfrom asyncio import sleep as nap\nfrom anyio import to_thread\nimport random\n"
        "async def f():\n    await nap(1); dt.datetime.now(); time.time(); to_thread.run_sync(f); random.random()\n"
        "    random.Random(7)\n"
    )
    names = {name for _, name in sources.uses(sample) if forbidden(name, "src/syncd/daemon/x.py")}
    assert names == {
        "asyncio.sleep",
        "datetime.datetime.now",
        "time.time",
        "anyio.to_thread",
        "anyio.to_thread.run_sync",
        "random.random",
    }
