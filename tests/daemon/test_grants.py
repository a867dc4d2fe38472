"""Grants: sealed in the store, durable before use, renewed by one shop for all, and readable with the key alone."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import text

from syncd.daemon.grants import GrantUnreadable, KeptGrants, ShopGrants
from syncd.sdk.errors import SignInRequired
from syncd.sdk.grants import Grant
from syncd.sim.trial import Trial, virtual
from syncd.store.engine import Store, StoreError
from syncd.store.vault import CannotOpen, Vault, new_key
from syncd.telemetry import redact, set_up
from syncd.testing.fakes import START, ManualClock
from syncd.testing.signing import SigningChannel, SigningServer

T = TypeVar("T")
KEY, OTHER = new_key(), new_key()
CANARY = "canary-4711-token"
GRANT = Grant(SecretStr(f"access-{CANARY}"), SecretStr(f"refresh-{CANARY}"), START, START + timedelta(days=28))


@asynccontextmanager
async def store_in(folder: Path) -> AsyncIterator[Store]:
    store = Store.open(folder / "syncd.sqlite", clock=ManualClock(), inline=True)
    yield store
    await store.aclose()


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def grants_of(store: Store, *keys: SecretStr, shop: str = "shop-a", channel: str = "mall") -> ShopGrants:
    return KeptGrants(store, ManualClock(), Vault(keys or (KEY,))).of(shop, channel)


@pytest.mark.anyio
async def test_a_grant_comes_back_whole_after_a_restart(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store).save("app-1", GRANT)
    async with store_in(tmp_path) as store:
        assert await grants_of(store).load("app-1") == GRANT
        assert await grants_of(store).load("app-2") is None
        assert await grants_of(store, channel="other").load("app-1") is None


@pytest.mark.anyio
async def test_no_file_of_the_store_holds_a_token_in_clear(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store).save("app-1", GRANT)
        raw = bytes_in(tmp_path)
        assert b"app-1" in raw, "the files that hold the row were read"
        assert CANARY.encode() not in raw


@pytest.mark.anyio
async def test_a_token_is_masked_in_every_line_and_old_ones_are_let_go(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        grants = grants_of(store, channel="masked")
        for turn in range(9):
            await grants.save("app-1", Grant(SecretStr(f"access-of-turn-{turn}")))
    assert redact("access-of-turn-8, access-of-turn-7") == "***, ***"
    assert redact("access-of-turn-0") == "access-of-turn-0", "or each line would be held against every token ever had"


@pytest.mark.anyio
async def test_without_the_key_the_error_names_both_ways_out_and_no_secret(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store, KEY).save("app-1", GRANT)
        with pytest.raises(GrantUnreadable) as told:
            await grants_of(store, OTHER).load("app-1")
    assert "keys.encryption" in str(told.value)
    assert "syncd shops sign-in shop-a" in str(told.value)
    assert CANARY not in str(told.value)


@pytest.mark.anyio
async def test_who_signs_in_replaces_a_grant_that_no_key_opens(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store, KEY).save("app-1", GRANT)
        grants = grants_of(store, OTHER)
        with grants.replacing():
            async with grants.renewing("app-1") as old:
                assert old is None
                await grants.save("app-1", GRANT)
        assert await grants.load("app-1") == GRANT


@pytest.mark.anyio
async def test_a_key_is_replaced_by_a_start_with_both(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store, KEY).save("app-1", GRANT)
        await KeptGrants(store, ManualClock(), Vault([OTHER, KEY])).reseal()
        assert await grants_of(store, OTHER).load("app-1") == GRANT
        with pytest.raises(GrantUnreadable):
            await grants_of(store, KEY).load("app-1")


@pytest.mark.anyio
async def test_a_row_cannot_be_passed_off_as_another(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await grants_of(store).save("app-1", GRANT)
        await store.tx(lambda conn: conn.execute(text("UPDATE \"grant\" SET name = 'app-2'")))
        with pytest.raises(GrantUnreadable):
            await grants_of(store).load("app-2")


@pytest.mark.parametrize("key", ["", "short", "A" * 44, "not base64 at all, but quite long indeed!!!!"])
def test_a_key_that_is_none_is_refused_with_how_to_make_one(key: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32"):
        Vault([SecretStr(key)])


def test_what_was_changed_by_one_letter_does_not_open() -> None:
    vault = Vault([SecretStr("+/" * 21 + "8=")])
    sealed = vault.seal("a text")
    assert vault.open(sealed) == "a text"
    with pytest.raises(CannotOpen):
        vault.open(sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1])


@pytest.mark.anyio
async def test_a_failed_commit_is_told_and_the_old_grant_stands(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        grants = grants_of(store)
        await grants.save("app-1", GRANT)

        def full(_name: str) -> None:
            raise StoreError("no space left")

        store.crash_point = full
        with pytest.raises(StoreError):
            await grants.save("app-1", Grant(SecretStr("never-kept")))
        store.crash_point = None
        assert await grants.load("app-1") == GRANT


@pytest.mark.anyio
async def test_a_cancelled_renewal_still_keeps_the_token_it_was_given(tmp_path: Path) -> None:
    clock = ManualClock()
    store = Store.open(tmp_path / "syncd.sqlite", clock=clock, inline=True)
    grants = KeptGrants(store, clock, Vault([KEY])).of("shop-a", "mall")

    async def renew() -> None:
        async with grants.renewing("app-1"):
            await clock.sleep(5)  # the server has used the old token up, its answer is on the way
            await grants.save("app-1", GRANT)

    async with anyio.create_task_group() as group:
        group.start_soon(renew)
        await clock.advance(1)
        group.cancel_scope.cancel()
        clock_task = asyncio.ensure_future(clock.advance(5))
    await clock_task
    assert await grants.load("app-1") == GRANT
    await store.aclose()


# -- over a whole daemon ---------------------------------------------------------------------------------------------

SIGNED: dict[str, Any] = {"channel": "signing"}
MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}


class Telling(SigningChannel):
    """Names the refused token in its error, as a careless plugin would."""

    async def call(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        try:
            return await super().call(operation, answer, effect=effect)
        except SignInRequired as error:
            grant = await self.context.grants.load(self.application)
            assert grant is not None
            raise SignInRequired(f"{error}: {grant.access.get_secret_value()}") from None


def signed_trial(channel: type[SigningChannel] = SigningChannel, **more: Any) -> Any:
    """Two shops of one application that are signed in to, and one of another kind."""
    return Trial.of(
        MALLS, {"S1": 9}, shops={"a": SIGNED, "b": SIGNED}, channels={"signing": channel}, start=False, **more
    )


async def signed_in(trial: Trial, **options: float) -> SigningServer:
    """Somebody has signed in before the daemon starts."""
    server = SigningServer("app-1", trial.clock, **options)
    trial.vault = Vault([KEY])
    grant = await server.exchange_code(server.person_signs_in().partition("code=")[2].partition("&")[0])
    await KeptGrants(trial.store, trial.clock, trial.vault).of("a", "signing").save("app-1", grant)
    return server


@virtual
async def test_two_shops_of_one_application_renew_once_each_time_and_never_show_a_used_token() -> None:
    async with signed_trial() as trial:
        server = await signed_in(trial, access_seconds=60)
        await trial.start()
        await trial.run(605)
        assert server.exchanges in (9, 10), "one exchange a minute, not one for each shop"
        assert server.revoked == 0
        assert await trial.alarms() == set()


@virtual
async def test_a_crash_between_the_save_of_a_rotated_token_and_its_use_loses_nothing() -> None:
    async with signed_trial() as trial:
        server = await signed_in(trial, access_seconds=4)
        await trial.start()
        for _ in range(5):
            issued = server.number
            trial.crash_when(lambda name, issued=issued: name == "after_commit" and server.number > issued)
            await trial.run_until(lambda: trial.dead)
            assert server.number == issued + 1
            await trial.kill()
            await trial.start()
            await trial.run(3)
        assert server.revoked == 0
        assert await trial.alarms() == set()


@virtual
async def test_with_a_wrong_key_those_shops_stand_still_and_the_others_keep_their_speed() -> None:
    async with signed_trial() as trial:
        await signed_in(trial)
        trial.vault = Vault([OTHER])
        await trial.start()
        assert trial.stage is not None
        runner = trial.stage.daemon.runners["a"]
        assert "keys.encryption" in runner.text
        trial.buy("c", "S1", 9)
        assert await trial.run_until(lambda: bool(trial.world.markets["c"].orders), within=10) < 10
        assert await trial.rows("SELECT count(*) FROM orders") == [(0,)]
        await trial.run(5)
        assert await trial.rows("SELECT count(*) FROM orders") == [(1,)]
        assert str(trial.stage.daemon.runners["c"].now_status()) == "running"


@virtual
async def test_no_alarm_and_no_status_text_holds_a_token() -> None:
    async with signed_trial(Telling) as trial:
        server = await signed_in(trial, access_seconds=30)
        await trial.start()
        await trial.run(10)
        server.access.clear()  # the server forgets its tokens: the plugin's own error names one
        await trial.run(40)
        texts = [str(row) for row in await trial.rows("SELECT text FROM alarm UNION ALL SELECT status_text FROM shop")]
        assert any("is not good" in one for one in texts)
        assert [one for one in texts if "canary" in one] == []


@pytest.mark.anyio
async def test_no_log_line_holds_a_token_or_what_a_person_brought_back(tmp_path: Path) -> None:
    out, root = io.StringIO(), logging.getLogger()
    before = (root.handlers[:], root.level)
    set_up("debug", "json", stream=out)
    clock = ManualClock()
    try:
        async with store_in(tmp_path) as store:
            grants = KeptGrants(store, clock, Vault([KEY])).of("shop-a", "mall")
            await grants.save("app-1", GRANT)
            log = structlog.get_logger()
            for text in (str(GRANT.access.get_secret_value()), f"Bearer refresh-{CANARY}", repr(GRANT)):
                log.error("call_failed", error=text)
            try:
                raise RuntimeError(f"answer: access-{CANARY}")
            except RuntimeError:
                log.exception("plugin_failed")
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before
    assert out.getvalue().count("***") >= 3
    assert CANARY not in out.getvalue()
