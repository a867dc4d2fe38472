"""A person signs in: who waits for it, what it brings back to life, and what its end tells beforehand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncd.daemon.desk_answers import Refused
from syncd.daemon.hub import Status
from syncd.daemon.signing_in import SignIns
from syncd.sdk.channel import SignInPage
from syncd.sdk.errors import SignInRequired
from syncd.sim.trial import Trial, virtual
from syncd.telemetry import redact
from syncd.testing.signing import SigningChannel, SigningServer

SIGNED: dict[str, Any] = {"channel": "signing"}
MALLS: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}


class Tied(SigningChannel):
    """A channel whose sign-in counts only on the object that gave the page, as with a verifier kept in memory."""

    page_given = False

    async def sign_in_page(self) -> SignInPage:
        self.page_given = True
        return await super().sign_in_page()

    async def sign_in(self, brought_back: str) -> None:
        if not self.page_given:
            raise ValueError("begin at the page")
        await super().sign_in(brought_back)


class Nowhere(SigningChannel):
    """A channel whose page has no address."""

    async def sign_in_page(self) -> SignInPage:
        return SignInPage("", "nothing")


def two_signed(channel: type[SigningChannel] = SigningChannel) -> Any:
    """Shops a and b of one application that nobody has signed in to, and c of another kind."""
    return Trial.of(MALLS, {"S1": 9}, shops={"a": SIGNED, "b": SIGNED}, channels={"signing": channel}, start=False)


def statuses(trial: Trial) -> dict[str, Status]:
    assert trial.stage is not None
    return {name: one.now_status() for name, one in trial.stage.daemon.runners.items()}


def sign_ins(trial: Trial) -> SignIns:
    assert trial.stage is not None
    return trial.stage.daemon.sign_ins


async def told(trial: Trial, kind: str) -> list[str]:
    query = "SELECT text FROM alarm WHERE kind = :kind AND cleared_us IS NULL ORDER BY text"
    return [row[0] for row in await trial.rows(query, kind=kind)]


@virtual
async def test_a_shop_that_nobody_signed_in_to_waits_with_the_command_named_and_disturbs_no_other() -> None:
    async with two_signed() as trial:
        SigningServer("app-1", trial.clock)
        await trial.start()
        assert statuses(trial) == {"a": "sign_in_required", "b": "sign_in_required", "c": "running"}
        first, second = await told(trial, "sign_in_required")
        assert first.endswith("sign in with: syncd shops sign-in a")
        assert second.endswith("sign in with: syncd shops sign-in b")
        assert "shop_down" not in await trial.alarms()
        trial.buy("c", "S1", 2)
        await trial.run(5)
        assert await trial.rows("SELECT count(*) FROM orders") == [(1,)]


@virtual
async def test_one_sign_in_lets_every_shop_of_the_application_go_on_and_ends_the_alarms() -> None:
    async with two_signed() as trial:
        server = SigningServer("app-1", trial.clock)
        await trial.start()
        page = await sign_ins(trial).page("a")
        assert page.address.startswith("https://signin.example/authorize?client_id=app-1")
        await sign_ins(trial).finish("a", server.person_signs_in() + "\n")
        await trial.run(3)
        assert statuses(trial) == {"a": "running", "b": "running", "c": "running"}
        assert await trial.alarms() == set()
        assert server.exchanges == 0


@virtual
async def test_something_else_than_the_page_gives_is_refused_and_can_be_tried_again() -> None:
    async with two_signed(Tied) as trial:
        server = SigningServer("app-1", trial.clock)
        await trial.start()
        await sign_ins(trial).page("a")
        with pytest.raises(Refused, match="paste the whole address"):
            await sign_ins(trial).finish("a", "https://here.example/back?error=denied")
        await sign_ins(trial).finish("a", server.person_signs_in())
        await trial.run(3)
        assert statuses(trial)["a"] == "running"


@virtual
async def test_a_code_that_the_channel_refuses_leaves_the_shop_as_it_was() -> None:
    async with two_signed() as trial:
        server = SigningServer("app-1", trial.clock)
        await trial.start()
        used = server.person_signs_in()
        server.codes.clear()
        with pytest.raises(SignInRequired):
            await sign_ins(trial).finish("a", used)
        assert statuses(trial)["a"] == "sign_in_required"
        assert redact(used) == "***"


@virtual
async def test_a_channel_without_a_sign_in_says_where_its_key_goes() -> None:
    async with two_signed() as trial:
        SigningServer("app-1", trial.clock)
        await trial.start()
        with pytest.raises(Refused, match=r"memory needs no sign-in: put the new key where c\.toml points"):
            await sign_ins(trial).page("c")
        assert statuses(trial)["c"] == "running"


@virtual
async def test_a_page_without_an_address_is_the_plugins_fault_alone() -> None:
    async with two_signed(Nowhere) as trial:
        SigningServer("app-1", trial.clock)
        await trial.start()
        with pytest.raises(Exception, match="not a page with a web address"):
            await sign_ins(trial).page("a")
        assert statuses(trial)["c"] == "running"


@virtual
async def test_a_sign_in_that_is_revoked_while_it_runs_names_the_command_and_a_new_one_mends_both_shops() -> None:
    async with two_signed() as trial:
        server = SigningServer("app-1", trial.clock, access_seconds=20)
        await trial.start()
        await sign_ins(trial).finish("a", server.person_signs_in())
        await trial.run(5)
        server.refresh = ""
        server.access.clear()
        await trial.run(60)
        assert statuses(trial) == {"a": "sign_in_required", "b": "sign_in_required", "c": "running"}
        assert all("syncd shops sign-in" in text for text in await told(trial, "sign_in_required"))
        await sign_ins(trial).finish("b", server.person_signs_in())
        await trial.run(5)
        assert statuses(trial) == {"a": "running", "b": "running", "c": "running"}
        assert await trial.alarms() == set()


@virtual
async def test_a_sign_in_starts_a_paused_shop_again_and_leaves_other_paused_shops_alone() -> None:
    async with two_signed() as trial:
        server = SigningServer("app-1", trial.clock)
        await trial.start()
        assert trial.stage is not None
        for name in ("a", "b"):
            await trial.stage.daemon.runners[name].pause()
        await sign_ins(trial).finish("a", server.person_signs_in())
        await trial.run(3)
        assert statuses(trial) == {"a": "running", "b": "paused", "c": "running"}


@virtual
async def test_a_sign_in_that_nobody_finishes_is_let_go_at_the_stop() -> None:
    async with two_signed() as trial:
        SigningServer("app-1", trial.clock)
        await trial.start()
        await sign_ins(trial).page("a")
        await sign_ins(trial).page("a")
        assert list(sign_ins(trial)._open) == ["a"]
        assert trial.stage is not None
        trial.stage.daemon.stop()
        await trial.run(30)
        assert sign_ins(trial)._open == {}


# -- the end of a sign-in is the key's end ---------------------------------------------------------------------------


def ahead(trial: Trial, days: float) -> None:
    trial.clock.set_wall(trial.clock.now() + timedelta(days=days))


@virtual
async def test_the_end_of_a_sign_in_is_told_once_at_each_threshold_and_a_new_sign_in_ends_it() -> None:
    async with two_signed() as trial:
        server = SigningServer("app-1", trial.clock, access_seconds=1e9, days=28)
        await trial.start()
        await sign_ins(trial).finish("a", server.person_signs_in())
        await trial.run(15)
        ahead(trial, 15)
        await trial.run(40)
        texts = await told(trial, "key_expires")
        assert len(texts) == 2, "one for each shop that lives on it"
        assert texts[0].startswith("a: its sign-in ends on 2026-12-19")
        assert texts[0].endswith("renew it with: syncd shops sign-in a")
        await sign_ins(trial).finish("b", server.person_signs_in())
        await trial.run(15)
        assert await told(trial, "key_expires") == []
        assert await trial.rows("SELECT DISTINCT key_expires_us FROM shop WHERE name IN ('a', 'b')") == [
            (int(server.until.timestamp() * 1e6),)
        ]
