"""Settings read again while the daemon runs (SIGHUP), checked first; and shop files that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from syncd.config import Config, ConfigError, Problem, ShopConfig, ShopProblem, load
from syncd.config.files import load_shop
from syncd.daemon.life import Daemon
from syncd.sim.trial import OPTIONS, Trial, virtual
from syncd.telemetry import Metrics
from syncd.testing.memory import MemoryShop

MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}}


class Files:
    """The settings files as they lie there now, and the daemon that reads them."""

    def __init__(self, trial: Trial) -> None:
        assert trial.stage is not None
        self.daemon: Daemon = trial.stage.daemon
        self.now: Config = self.daemon.config
        self.wrong: ConfigError | None = None
        self.daemon.reread = self.read
        for runner in self.daemon.runners.values():
            runner.reload = self.read_shop
        self.daemon.reload_shop = self.read_shop

    def read(self) -> Config:
        if self.wrong is not None:
            raise self.wrong
        return self.now

    def read_shop(self, config: ShopConfig) -> ShopConfig:
        for one in (*self.now.shops, *self.now.unread):
            if one.file == config.file:
                if one.problems:
                    raise ConfigError(one.problems)
                return one
        return config

    def set(self, **tables: dict[str, object]) -> None:
        """Change settings of the daemon."""
        old = self.now.settings
        changed = {name: getattr(old, name).model_copy(update=values) for name, values in tables.items()}
        self.now = replace(self.now, settings=old.model_copy(update=changed))

    def shop(self, name: str, **values: object) -> None:
        """Change a shop's file."""
        self.now = replace(
            self.now,
            shops=tuple(
                replace(one, shop=one.shop.model_copy(update=values)) if one.name == name else one
                for one in self.now.shops
            ),
        )

    def breaks(self, name: str) -> ShopConfig:
        """A shop's file that is no TOML any more. Returns it as it was."""
        [was] = [one for one in self.now.shops if one.name == name]
        problem = ShopProblem(file=was.file, shop=name, line=3, column=1, text="not TOML: …")
        rest = tuple(one for one in self.now.shops if one is not was)
        self.now = replace(self.now, shops=rest, problems=(problem,))
        return was

    def mends(self, shop: ShopConfig) -> None:
        self.now = replace(self.now, shops=(*self.now.shops, shop), problems=())


def statuses(daemon: Daemon) -> dict[str, str]:
    return {name: str(one.now_status()) for name, one in daemon.runners.items()}


# -- the daemon's own settings ---------------------------------------------------------------------------------------


@virtual
async def test_changed_settings_are_in_force_after_a_reload_and_no_shop_is_disturbed() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        before = [runner.shop for runner in files.daemon.runners.values()]
        files.set(batch={"every_seconds": 60.0}, brake={"listings": 3}, limits={"stockout_seconds": 7.0})
        assert not (await files.daemon.reload()).problem
        await trial.run(5)
        assert files.daemon.hub.facts.batch_us == 60_000_000
        assert files.daemon.hub.facts.brake_listings == 3
        assert files.daemon.housekeeping.settings.limits.stockout_seconds == 7.0
        assert [runner.shop for runner in files.daemon.runners.values()] == before


@virtual
async def test_settings_that_are_wrong_change_nothing() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        before = files.daemon.hub.facts.batch_us
        files.set(batch={"every_seconds": 60.0})
        files.wrong = ConfigError([Problem(file=Path("syncd.toml"), line=2, text="not TOML")])
        assert (await files.daemon.reload()).problem == "syncd.toml:2: not TOML"
        assert files.daemon.hub.facts.batch_us == before
        trial.buy("a", "S1", 9)
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)


@virtual
async def test_what_holds_from_the_start_only_is_named() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        files.now = replace(
            files.now, settings=files.now.settings.model_copy(update={"listen": "127.0.0.1:1", "state_dir": Path("/x")})
        )
        assert (await files.daemon.reload()).needs_restart == ["state_dir", "listen"]


# -- shops -------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_shop_whose_file_changed_runs_anew_and_the_others_go_on() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        before = {name: runner.shop for name, runner in files.daemon.runners.items()}
        files.shop("b", poll_seconds=7.0)
        assert not (await files.daemon.reload()).problem
        await trial.run(10)
        assert files.daemon.runners["a"].shop is before["a"]
        shop = files.daemon.runners["b"].shop
        assert shop is not before["b"]
        assert shop is not None
        assert shop.poll_seconds == 7.0


@virtual
async def test_a_key_that_changed_under_the_same_file_is_taken() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        before = files.daemon.runners["b"].shop
        files.now = replace(
            files.now,
            shops=tuple(
                replace(one, channel_table={**one.channel_table, "key": SecretStr("memory-key-0002")})
                if one.name == "b"
                else one
                for one in files.now.shops
            ),
        )
        assert (await files.daemon.reload()).changed == ["b"]
        await trial.run(5)
        assert files.daemon.runners["b"].shop not in (None, before)


@virtual
async def test_a_file_that_came_is_a_shop_and_one_that_went_is_none() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        [b] = [one for one in files.now.shops if one.name == "b"]
        files.now = replace(files.now, shops=tuple(one for one in files.now.shops if one is not b))
        assert not (await files.daemon.reload()).problem
        assert statuses(files.daemon) == {"a": "running"}
        assert 'shop="b"' not in text_of(files.daemon.hub.metrics)
        trial.buy("b", "S1", 2)
        await trial.run(20)
        assert trial.shows("a", "S1") == 9, "nobody reads b any more"
        files.now = replace(files.now, shops=(*files.now.shops, b))
        assert not (await files.daemon.reload()).problem
        await trial.run(30)
        assert statuses(files.daemon) == {"a": "running", "b": "running"}
        assert trial.wrong() == []
        assert await trial.books() == []


@virtual
async def test_a_file_that_was_renamed_takes_its_orders_along_without_a_restart() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        trial.buy("b", "S1", 2)
        await trial.run(20)
        [b] = [one for one in files.now.shops if one.name == "b"]
        files.daemon.how.transports.emulators["c"] = trial.mall("b")  # type: ignore[attr-defined]  # the stage's
        renamed = replace(b, shop=b.shop.model_copy(update={"name": "c"}), file=Path("c.toml"))
        files.now = replace(files.now, shops=tuple(one for one in files.now.shops if one is not b) + (renamed,))
        assert not (await files.daemon.reload()).problem
        await trial.run(20)
        assert statuses(files.daemon) == {"a": "running", "c": "running"}
        assert await trial.rows("SELECT name FROM shop ORDER BY name") == [("a",), ("c",)]
        assert await trial.rows("SELECT count(*) FROM orders") == [(1,)]
        assert trial.wrong() == []


@virtual
async def test_a_shop_whose_file_is_wrong_now_goes_on_as_it_is() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        files.breaks("b")
        done = await files.daemon.reload()
        assert (done.changed, done.refused) == ([], {"b": "b.toml:3:1: not TOML: …"})
        trial.buy("a", "S1", 9)
        await trial.run_until(lambda: trial.shows("b", "S1") == 0)


# -- shop files that cannot be read ------------------------------------------------------------------------------------


@virtual
async def test_a_shop_whose_file_cannot_be_read_is_named_alarmed_measured_and_resumed_once_mended() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        was = files.breaks("b")
        await files.daemon.runners["b"].resume()  # as after a restart with the broken file
        await trial.run(25)
        assert statuses(files.daemon) == {"a": "running", "b": "config_error"}
        assert await trial.alarms() == {"shop_down"}
        assert any(one.startswith("b: config_error: b.toml:3:1: not TOML") for one in files.daemon.housekeeping.late)
        assert 'syncd_shop_state{shop="b",state="config_error"} 1.0' in text_of(files.daemon.hub.metrics)
        files.mends(was)
        await files.daemon.runners["b"].resume()
        await trial.run(10)
        assert statuses(files.daemon)["b"] == "running"
        assert await trial.alarms() == set()


@virtual
async def test_a_new_shop_whose_file_cannot_be_read_is_alarmed_and_starts_with_a_reload_once_mended() -> None:
    async with Trial.of(MALLS, {"S1": 9}) as trial:
        files = Files(trial)
        [b] = [one for one in files.now.shops if one.name == "b"]
        new = replace(b, shop=b.shop.model_copy(update={"name": "new"}), file=Path("new.toml"))
        files.now = replace(files.now, problems=(ShopProblem(file=new.file, shop="new", line=1, text="not TOML"),))
        assert not (await files.daemon.reload()).problem
        await trial.run(5)
        assert statuses(files.daemon)["new"] == "config_error"
        assert await trial.rows("SELECT subject FROM alarm WHERE cleared_us IS NULL") == [("new",)]
        market = trial.world.market("new", visibility_seconds=0)
        mall = MemoryShop(trial.world, market, trial.clock, options=OPTIONS)
        files.daemon.how.transports.emulators["new"] = mall  # type: ignore[attr-defined]  # the stage's
        mended = replace(new, channel_table=mall.settings())
        files.now = replace(files.now, shops=(*files.now.shops, mended), problems=())
        assert not (await files.daemon.reload()).problem
        await trial.run(5)
        assert statuses(files.daemon)["new"] == "running"
        assert await trial.alarms() == set()


def test_a_shop_file_that_cannot_be_read_still_names_its_shop(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text("", encoding="utf-8")
    (tmp_path / "shops.d").mkdir()
    (tmp_path / "shops.d" / "bad.toml").write_text("channel = \n", encoding="utf-8")
    (tmp_path / "shops.d" / "Bad Name.toml").write_text('channel = "rakuten"\n', encoding="utf-8")
    config = load(tmp_path / "syncd.toml")
    [unread] = config.unread
    assert unread.name == "bad"
    assert str(unread.problems[0]).endswith("bad.toml:1:11: not TOML: Invalid value")
    assert [one.file.name for one in config.misnamed] == ["Bad Name.toml"]
    with pytest.raises(ConfigError, match=r"bad\.toml:1"):
        load_shop(unread.file)


def text_of(metrics: Metrics) -> str:
    return metrics.render()[0].decode()
