"""Stock out and in: keys, userErrors, points, and what ends in doubt."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Form, Reason, Rejected, StockWrite, Unreported
from syncd.sdk.errors import BrokenAnswer, CallRefused, InDoubt, SignInRequired, Throttled, Unavailable
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import settle, spawn
from syncd_shopify.channel import SET

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
Row = Callable[..., StockWrite]
A, B, C = "30322695", "30322696", "30322697"


def quantities(shop: Any, call: int = 0) -> list[dict[str, Any]]:
    """The rows of the n-th call that was sent."""
    rows: list[dict[str, Any]] = json.loads(shop.sent[call].content)["variables"]["input"]["quantities"]
    return rows


async def test_plain_set_sends_null_and_not_nothing(shop_of: Open, swap: Row, plain: Row) -> None:
    shop = shop_of()
    report = await shop.write(swap(A, 50, 40), plain(B, 0), StockWrite(C, Form.COMPARE_AND_SET, 5, None))
    assert report.rows == (Accepted(0), Accepted(1), Accepted(2))
    assert [row["changeFromQuantity"] for row in quantities(shop)] == [50, None, None]
    assert [shop.shown(key) for key in (A, B, C)] == [40, 0, 5]


async def test_key_is_a_uuid_that_follows_from_the_cores_key(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    for key in ("intent 7", "intent 7", "intent 8"):
        await shop.write(plain(A, 3), key=key)
    first, again, other = (json.loads(one.content)["variables"]["key"] for one in shop.sent)
    assert str(uuid.UUID(first)) == first == again
    assert other != first


@pytest.mark.parametrize("quantity", [-1, 1_000_000_001])
async def test_a_number_out_of_range_never_leaves(shop_of: Open, plain: Row, quantity: int) -> None:
    shop = shop_of()
    report = await shop.write(plain(A, quantity), plain(B, 4))
    assert [type(row) for row in report.rows] == [Rejected, Accepted]
    assert report.rows[0].reason is Reason.INVALID
    assert len(quantities(shop)) == 1
    assert (shop.shown(A), shop.shown(B)) == (50, 4)


async def test_a_call_of_rows_that_cannot_be_sent_is_not_made(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    report = await shop.write(plain("?TEE-BLK-M", 1))
    assert report.rows[0].reason is Reason.UNKNOWN_LISTING
    assert shop.sent == []


async def test_reasons_of_refused_rows(shop_of: Open, swap: Row, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.inventory.bundles.add(C)
    report = await shop.write(swap(A, 49, 3), plain("999", 1), plain(C, 1), plain(B, 2))
    assert {row.index: row.reason for row in report.rows} == {
        0: Reason.STALE,
        1: Reason.UNKNOWN_LISTING,
        2: Reason.NOT_WRITABLE,
    }
    assert report.unreported is Unreported.UNTOUCHED
    assert shop.shown(B) == 50


async def test_item_not_stocked_is_activated_and_taken_at_the_next_write(shop_of: Open, plain: Row) -> None:
    shop = shop_of(api_version="2026-07")
    shop.emulator.inventory.not_stocked.add(A)
    report = await shop.write(plain(A, 4), plain(B, 5), key="one")
    assert report.rows == ()
    assert (await shop.write(plain(A, 4), plain(B, 5), key="two")).rows == (Accepted(0), Accepted(1))
    assert [json.loads(one.content)["operationName"] for one in shop.sent] == [
        "SetAvailable",
        "Activate",
        "SetAvailable",
    ]


async def test_from_2026_10_an_item_not_stocked_takes_a_number(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.inventory.not_stocked.add(A)
    assert (await shop.write(plain(A, 4))).rows == (Accepted(0),)


async def test_location_that_is_gone_asks_for_a_person(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.channel._location = "gid://shopify/Location/1"
    with pytest.raises(SignInRequired, match="location"):
        await shop.write(plain(A, 4))


async def test_lost_answer_is_in_doubt_and_a_repeat_under_the_key_applies_once(shop_of: Open, swap: Row) -> None:
    shop = shop_of()
    shop.emulator.faults.add(Fault("graphql", FaultKind.LOST_AFTER))
    with pytest.raises(InDoubt):
        await shop.write(swap(A, 50, 60), key="same")
    shop.market.buy({A: 10})
    assert shop.shown(A) == 50
    assert (await shop.write(swap(A, 50, 60), key="same")).rows == (Accepted(0),)
    assert shop.shown(A) == 50, "the repeat raised the number by the units sold in between"


@pytest.mark.parametrize("kind", [FaultKind.GARBAGE, FaultKind.GARBAGE_AFTER, FaultKind.CUT_OFF])
async def test_garbage_is_a_broken_answer(shop_of: Open, plain: Row, kind: FaultKind) -> None:
    shop = shop_of()
    shop.emulator.faults.add(Fault("graphql", kind))
    with pytest.raises(BrokenAnswer):
        await shop.write(plain(A, 4))


async def test_server_error_is_in_doubt_for_a_write_and_not_for_a_read(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.faults.add(Fault("graphql", FaultKind.STATUS, times=2, status=502))
    with pytest.raises(InDoubt):
        await shop.write(plain(A, 4))
    with pytest.raises(Unavailable):
        await shop.run(shop.channel.read_stock([A]))


@pytest.mark.parametrize("status", [402, 403, 404, 423])
async def test_shop_frozen_or_locked_asks_for_a_person(shop_of: Open, plain: Row, status: int) -> None:
    shop = shop_of()
    shop.emulator.faults.add(Fault("graphql", FaultKind.STATUS, status=status))
    with pytest.raises(SignInRequired):
        await shop.write(plain(A, 4))


async def test_security_block_is_a_long_pause(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.faults.add(Fault("graphql", FaultKind.STATUS, status=430))
    with pytest.raises(Throttled) as caught:
        await shop.write(plain(A, 4))
    assert caught.value.after_seconds is not None
    assert caught.value.after_seconds >= 60
    assert shop.limiter.refused == [("graphql", caught.value.after_seconds)]


async def test_missing_scope_asks_for_a_person(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.granted = False
    with pytest.raises(SignInRequired, match="ACCESS_DENIED"):
        await shop.write(plain(A, 4))


async def test_empty_bucket_says_how_long_to_wait(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.points.drain(shop.clock.monotonic())
    with pytest.raises(Throttled) as caught:
        await shop.write(plain(A, 4))
    assert caught.value.after_seconds == pytest.approx(11 / 100)
    assert shop.limiter.refused == [("graphql", caught.value.after_seconds)]
    assert shop.shown(A) == 50


async def test_each_answer_feeds_the_budget_and_teaches_the_cost(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    await shop.write(plain(A, 4), key="one")
    await shop.write(plain(A, 5), key="two")
    assert [cost for _, cost in shop.limiter.acquired] == [12.0, 11.0]
    assert [name for name, _ in shop.limiter.fed] == ["graphql", "graphql"]
    assert shop.limiter.fed[0][1] == 2000 - 11


async def test_second_call_under_a_key_still_running_is_in_doubt(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    shop.emulator.processing_seconds = 5.0
    first = spawn(shop.channel.write_stock([plain(A, 4)], SET, "same"))
    await settle()
    with pytest.raises(InDoubt, match="CONCURRENT"):
        await shop.write(plain(A, 4), key="same")
    assert (await shop.run(first)).rows == (Accepted(0),)


async def test_key_used_for_other_rows_refuses_the_call(shop_of: Open, plain: Row) -> None:
    shop = shop_of()
    await shop.write(plain(A, 4), key="same")
    with pytest.raises(CallRefused, match="MISMATCH"):
        await shop.write(plain(A, 5), key="same")
    assert shop.shown(A) == 4


async def test_untracked_reads_as_none_and_unknown_is_left_out(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.listings[B].counted = False
    shop.emulator.inventory.not_stocked.add(C)
    assert await shop.run(shop.channel.read_stock([A, B, C, "999", "?TEE"])) == {A: 50, B: None}


async def test_oversold_item_is_read_below_zero(shop_of: Open) -> None:
    shop = shop_of()
    shop.market.hand_edit(A, -3)
    assert await shop.run(shop.channel.read_stock([A])) == {A: -3}
