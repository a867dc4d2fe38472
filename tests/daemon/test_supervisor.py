"""One shop's runner: renamed files, second files, failed checks, pauses, files read again, and broken plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from syncd.config import ConfigError, ShopConfig, ShopProblem
from syncd.daemon.supervisor import Runner
from syncd.sdk.channel import Budget, Capabilities, Cursor, OrderPage, ShopContext, WriteRoute
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd.sim.trial import Trial, virtual
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.hostile import HostileChannel, HostileShop
from syncd.testing.memory import MemoryChannel

MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}
BAD: dict[str, Any] = {
    "shops": {"b": {"channel": "hostile"}},
    "shop_type": HostileShop,
    "channels": {"hostile": HostileChannel},
}


class Reading(MemoryChannel):
    """Keeps the cursors that each shop was asked with."""

    asked: ClassVar[list[tuple[str, Cursor | None]]] = []

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        self.asked.append((self.context.shop, cursor))
        return await super().fetch_orders(cursor)


class Unbuildable(MemoryChannel):
    """A plugin whose constructor fails."""

    failure: ClassVar[Exception | None] = RuntimeError("cannot be built today")

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        if self.failure is not None:
            raise self.failure
        super().__init__(shop, settings, context)


class Odd(MemoryChannel):
    """Declares what it is told to."""

    declare: ClassVar[Callable[[Capabilities], Any]]

    @property
    def capabilities(self) -> Capabilities:
        return type(self).declare(super().capabilities)  # type: ignore[no-any-return]


def runner(trial: Trial, name: str) -> Runner:
    assert trial.stage is not None
    return trial.stage.daemon.runners[name]


def statuses(trial: Trial) -> dict[str, str]:
    assert trial.stage is not None
    return {name: str(one.now_status()) for name, one in trial.stage.daemon.runners.items()}


def lives(trial: Trial) -> bool:
    return trial.task is not None and not trial.task.done()


async def cursor_of(trial: Trial, name: str) -> str:
    [(cursor,)] = await trial.rows("SELECT cursor FROM shop WHERE name = :name", name=name)
    assert isinstance(cursor, str)
    return cursor


# -- one account, one file -----------------------------------------------------------------------------------------


@virtual
async def test_a_renamed_file_goes_on_from_its_cursor_and_books_nothing_twice() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, channels={"memory": Reading}) as trial:
        trial.buy("b", "S1", 2)
        await trial.run(30)
        await trial.kill()
        trial.parts["renamed"] = trial.parts.pop("b")
        kept = await cursor_of(trial, "b")
        Reading.asked.clear()
        trial.buy("b", "S1", 1)
        await trial.start()
        await trial.run(10)
        first = next(cursor for name, cursor in Reading.asked if name == "renamed")
        assert first is not None
        assert f'"since_us":{first["since_us"]}' in kept
        assert statuses(trial) == {"a": "running", "renamed": "running"}
        assert await trial.rows("SELECT count(*) FROM orders") == [(2,)]
        assert await trial.alarms() == set()
        assert trial.shows("a", "S1") == 6
        assert await trial.rows("SELECT count(*) FROM listing") == [(2,)]


@virtual
async def test_a_paused_shop_stays_paused_when_its_file_is_renamed() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        await runner(trial, "b").pause()
        await trial.run(3)
        await trial.kill()
        trial.parts["renamed"] = trial.parts.pop("b")
        orders = trial.mall("renamed").calls["orders"]
        await trial.start()
        await trial.run(10)
        assert statuses(trial) == {"a": "running", "renamed": "paused"}
        assert trial.mall("renamed").calls["orders"] == orders
        await runner(trial, "renamed").resume()
        await trial.run(5)
        assert statuses(trial)["renamed"] == "running"


@virtual
async def test_a_second_file_of_one_account_names_both_and_the_first_runs_on() -> None:
    async with Trial.of({"a": {}, "b": {}, "c": {}}, {"S1": 9}) as trial:
        await trial.run(6)
        await trial.kill()
        trial.mall("b").options = trial.mall("b").options.model_copy(update={"market": "a"})
        trial.parts["second"] = trial.parts.pop("b")
        await trial.start()
        await trial.run(3)
        assert statuses(trial) == {"a": "running", "second": "config_error", "c": "running"}
        assert "shop second and shop a are the same account memory:a" in runner(trial, "second").text
        assert "shop_down" in await trial.alarms()
        trial.buy("a", "S1", 9)
        await trial.run_until(lambda: trial.shows("c", "S1") == 0)
        assert await trial.rows("SELECT count(*) FROM orders") == [(1,)]


@virtual
async def test_a_shop_whose_key_opens_another_account_is_refused() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, **BAD) as trial:
        await trial.run(6)
        await trial.kill()
        trial.mall("b").moods["check"] = "other_account"
        await trial.start()
        await trial.run(3)
        assert statuses(trial) == {"a": "running", "b": "config_error"}
        assert "was account memory:b, now memory:somebody-else" in runner(trial, "b").text


# -- checks that fail ----------------------------------------------------------------------------------------------


@virtual
async def test_a_failed_check_is_tried_again_more_and_more_rarely_while_others_run() -> None:
    async with Trial.of(MALLS, {"S1": 5}, start=False) as trial:
        trial.mall("b").key_works = False
        await trial.start()
        assert statuses(trial) == {"a": "running", "b": "failed_check", "c": "running"}
        assert "SignInRequired" in runner(trial, "b").text
        trial.buy("a", "S1", 5)
        assert await trial.run_until(lambda: trial.shows("c", "S1") == 0) < 4
        await trial.run(100)
        assert 5 <= sum(trial.mall("b").calls.values()) <= 8  # at 0, 1, 3, 7, 15, 31, 63 s
        assert await trial.rows("SELECT count(*) FROM alarm WHERE kind = 'shop_down'") == [(1,)]
        trial.mall("b").key_works = True
        await trial.run_until(lambda: trial.shows("b", "S1") == 0, within=130, step=1)
        assert statuses(trial)["b"] == "running"
        await trial.run(10)
        assert await trial.alarms() == set()


@virtual
async def test_resume_tries_a_failed_check_at_once() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 5}, start=False) as trial:
        trial.mall("b").key_works = False
        await trial.start()
        await trial.run(40)
        trial.mall("b").key_works = True
        await runner(trial, "b").resume()
        await trial.run(1)
        assert statuses(trial)["b"] == "running"


# -- pause and resume ------------------------------------------------------------------------------------------------


@virtual
async def test_a_pause_and_a_resume_are_kept_over_a_restart() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        await runner(trial, "b").pause()
        await trial.restart()
        await trial.run(5)
        assert statuses(trial) == {"a": "running", "b": "paused"}
        assert await trial.alarms() == set()
        await runner(trial, "b").resume()
        await trial.restart()
        await trial.run(5)
        assert statuses(trial) == {"a": "running", "b": "running"}


@virtual
async def test_a_shop_that_is_paused_during_its_check_does_not_run() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, start=False) as trial:
        trial.mall("b").faults.add(Fault("read", FaultKind.LATENCY, seconds=3))
        await trial.start(ready=False)
        await trial.run(1)
        await runner(trial, "b").pause()
        await trial.run(10)
        assert statuses(trial)["b"] == "paused"
        assert trial.mall("b").calls["orders"] == 0


@virtual
async def test_a_resume_reads_the_shops_file_again() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        await trial.run(6)

        def now_dry(config: ShopConfig) -> ShopConfig:
            return dataclasses.replace(config, shop=config.shop.model_copy(update={"writes": "dry_run"}))

        runner(trial, "b").reload = now_dry
        trial.buy("a", "S1", 1)
        await trial.run(10)
        assert trial.shows("b", "S1") == 8, "the file counts when it is read, not before"
        await runner(trial, "b").resume()
        await trial.run(2)
        writes = trial.mall("b").calls["write"]
        trial.buy("a", "S1", 8)
        await trial.run(20)
        assert (trial.mall("b").calls["write"], trial.shows("b", "S1")) == (writes, 8)
        assert statuses(trial)["b"] == "running"


@virtual
async def test_a_file_that_is_broken_at_a_resume_stops_that_shop_until_it_is_mended() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}) as trial:
        broken = ConfigError([ShopProblem(file=Path("b.toml"), shop="b", text="line 3 makes no sense")])

        def refuse(config: ShopConfig) -> ShopConfig:
            raise broken

        one = runner(trial, "b")
        one.reload = refuse
        await one.resume()
        await trial.run(600)
        assert statuses(trial) == {"a": "running", "b": "config_error"}
        assert "line 3 makes no sense" in one.text
        assert "shop_down" in await trial.alarms()
        one.reload = lambda config: config
        await one.resume()
        await trial.run(5)
        assert statuses(trial)["b"] == "running"
        assert await trial.alarms() == set()


@virtual
async def test_a_shop_with_writes_off_cannot_be_started_and_one_in_dry_run_can() -> None:
    shops = {"b": {"writes": "off"}, "c": {"writes": "dry_run"}}
    async with Trial.of(MALLS, {"S1": 9}, shops=shops) as trial:
        with pytest.raises(ValueError, match=r'shop b has writes = "off" in b.toml'):
            await runner(trial, "b").start_writing()
        await runner(trial, "c").start_writing()
        trial.buy("a", "S1", 9)
        await trial.run(30)
        assert (trial.shows("b", "S1"), trial.shows("c", "S1")) == (9, 0)
        assert await trial.rows("SELECT started FROM shop ORDER BY name") == [(0,), (0,), (1,)]
        await trial.restart()
        assert runner(trial, "c").shop is not None
        assert runner(trial, "c").shop.writes  # type: ignore[union-attr]


@virtual
async def test_a_shop_whose_file_no_longer_says_off_can_be_started_at_once() -> None:
    async with Trial.of({"a": {}, "b": {}}, {"S1": 9}, shops={"b": {"writes": "off"}}) as trial:
        one = runner(trial, "b")
        one.reload = lambda config: dataclasses.replace(
            config, shop=config.shop.model_copy(update={"writes": "dry_run"})
        )
        await one.start_writing()
        trial.buy("a", "S1", 9)
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)
        assert trial.wrong() == []


# -- broken plugins --------------------------------------------------------------------------------------------------


@virtual
async def test_a_plugin_fault_restarts_only_its_own_shop() -> None:
    async with Trial.of(MALLS, {"S1": 9}, **BAD) as trial:
        await trial.run(6)
        before = {name: runner(trial, name).shop for name in MALLS}
        trial.mall("b").moods["orders"] = "raise"
        await trial.run(4)
        trial.mall("b").moods.clear()
        await trial.run(30)
        assert runner(trial, "b").shop is not before["b"]
        assert [runner(trial, name).shop for name in "ac"] == [before[name] for name in "ac"]
        assert statuses(trial) == dict.fromkeys(MALLS, "running")
        assert await trial.alarms() == set()


@virtual
async def test_a_plugin_that_always_fails_after_its_check_is_restarted_more_and_more_rarely() -> None:
    async with Trial.of(MALLS, {"S1": 9}, **BAD) as trial:
        await trial.run(6)
        trial.mall("b").moods["orders"] = "raise"
        reads = trial.mall("b").calls["read"]
        await trial.run(600)
        assert trial.mall("b").calls["read"] - reads < 60
        [(alarms,)] = await trial.rows("SELECT count(*) FROM alarm WHERE kind = 'shop_down'")
        assert alarms < 15


@virtual
async def test_a_plugin_whose_constructor_raises_is_set_aside_and_tried_again() -> None:
    trial_of: dict[str, Any] = {"shops": {"b": {"channel": "odd"}}, "channels": {"odd": Unbuildable}}
    Unbuildable.failure = RuntimeError("cannot be built today")
    async with Trial.of(MALLS, {"S1": 5}, **trial_of) as trial:
        assert statuses(trial) == {"a": "running", "b": "failed_check", "c": "running"}
        assert "RuntimeError: cannot be built today" in runner(trial, "b").text
        trial.buy("a", "S1", 5)
        assert await trial.run_until(lambda: trial.shows("c", "S1") == 0) < 4
        Unbuildable.failure = None
        await trial.run_until(lambda: trial.shows("b", "S1") == 0, step=1)
        assert statuses(trial)["b"] == "running"


@virtual
async def test_settings_that_contradict_each_other_wait_for_a_person() -> None:
    Unbuildable.failure = ValueError("one setting without the other")
    trial_of: dict[str, Any] = {"shops": {"b": {"channel": "odd"}}, "channels": {"odd": Unbuildable}}
    async with Trial.of(MALLS, {"S1": 5}, **trial_of) as trial:
        assert statuses(trial) == {"a": "running", "b": "config_error", "c": "running"}
        assert "one setting without the other" in runner(trial, "b").text


@virtual
async def test_a_shop_of_a_channel_that_no_plugin_gives_says_which_there_are() -> None:
    async with Trial.of(MALLS, {"S1": 5}, shops={"b": {"channel": "atlantis"}}) as trial:
        assert statuses(trial)["b"] == "config_error"
        assert "no plugin gives channel 'atlantis'; known: " in runner(trial, "b").text
        assert "memory" in runner(trial, "b").text


def no_rows(given: Capabilities) -> Capabilities:
    routes = tuple(dataclasses.replace(route, max_rows=0) for route in given.routes)
    return dataclasses.replace(given, routes=routes)


def no_rate(given: Capabilities) -> Capabilities:
    return dataclasses.replace(given, budgets=(Budget("calls", frozenset({"write", "read", "orders"}), 0.0),))


def text_for_routes(given: Capabilities) -> Capabilities:
    broken: Any = ("stock",)
    return dataclasses.replace(given, routes=broken)


def no_read_rows(given: Capabilities) -> Capabilities:
    return dataclasses.replace(given, read_rows=0)


def no_forms(given: Capabilities) -> Capabilities:
    return dataclasses.replace(given, routes=(WriteRoute("stock", "write", frozenset(), 10),))


@pytest.mark.parametrize("declare", [no_rows, no_rate, text_for_routes, no_read_rows, no_forms, lambda given: None])
@virtual
async def test_a_plugin_that_declares_nonsense_hurts_only_its_own_shop(
    declare: Callable[[Capabilities], Any],
) -> None:
    Odd.declare = staticmethod(declare)
    trial_of: dict[str, Any] = {"shops": {"b": {"channel": "odd"}}, "channels": {"odd": Odd}}
    async with Trial.of(MALLS, {"S1": 5}, **trial_of) as trial:
        trial.buy("a", "S1", 2)
        await trial.run(20)
        assert lives(trial)
        assert trial.shows("c", "S1") == 3
