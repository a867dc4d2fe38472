"""Numbers out: partial failures, lost answers, the feed; and options beside the stock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Form, Pending, Reason, Rejected, StockWrite, Unreported, WriteReport
from syncd.sdk.errors import CallRefused, InDoubt, SignInRequired, Throttled, Unavailable
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import RecordingLimiter
from syncd_amazon.writing import FEED, PATCH

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B, C = "TEE-0", "TEE-1", "TEE-2"


async def test_lost_answer_among_others_becomes_a_receipt_whose_page_tells(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A, B, C]))
    account.emulator.faults.add(Fault("patch_listing", FaultKind.LOST_AFTER, skip=1))
    account.emulator.faults.add(Fault("patch_listing", FaultKind.LOST_BEFORE, skip=1))
    report = await account.write((A, 5), (B, 6), (C, 7))
    assert [isinstance(row, Pending) for row in report.rows] == [True, True, True]
    assert report.unreported is Unreported.UNTOUCHED
    told = await account.collect(report)
    assert told == {0: Accepted(0, 5), 1: Accepted(1, 6)}
    assert account.shown(C) == 50
    [lost] = (await account.collect(report, after=1900, known=told)).values()
    assert isinstance(lost, Rejected)


async def test_row_throttled_among_others_stays_queued(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A, B]))
    account.emulator.faults.add(Fault("patch_listing", FaultKind.STATUS, skip=1, status=429))
    report = await account.write((A, 5), (B, 6))
    assert [row.index for row in report.rows] == [0]
    assert report.unreported is Unreported.UNTOUCHED
    assert account.shown(B) == 50


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("patch_listing", FaultKind.LOST_AFTER, times=2), InDoubt),
        (Fault("patch_listing", FaultKind.STATUS, times=2, status=429), Throttled),
        (Fault("patch_listing", FaultKind.STATUS, times=2, status=503), Unavailable),
    ],
)
async def test_call_of_which_nothing_got_through_is_raised(
    open_account: Open, fault: Fault, error: type[Exception]
) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A, B]))
    account.emulator.faults.add(fault)
    with pytest.raises(error):
        await account.write((A, 5), (B, 6))


async def test_second_row_of_a_sku_stays_queued(open_account: Open) -> None:
    account = open_account()
    for route in ("patch", "feed"):
        report = await account.write((A, 5), (A, 6), route=route)
        assert [row.index for row in report.rows] == [0]


async def test_rows_that_amazon_cannot_take_are_refused_here(open_account: Open) -> None:
    account = open_account()
    rows = [StockWrite("", Form.ABSOLUTE, 1), StockWrite(A, Form.ABSOLUTE, -1), StockWrite(B, Form.ABSOLUTE, 100_000)]
    report = await account.run(account.channel.write_stock(rows, PATCH, "key"))
    assert [row.reason for row in report.rows] == [Reason.INVALID] * 3
    with pytest.raises(CallRefused, match="takes 5"):
        await account.write(*[(f"S{i}", 1) for i in range(6)])


async def test_stockouts_leave_in_the_order_they_were_given(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock(account.keys[:5]))
    await account.write(*[(key, 0) for key in account.keys[:5]])
    assert [request.url.path.rsplit("/", 1)[1] for request in account.requests("PATCH", "/")] == account.keys[:5]


async def test_feed_of_twenty_five_thousand_is_one_call_and_keeps_below_ten_mebibytes(open_account: Open) -> None:
    account = open_account()
    keys = [f"A-LONG-SELLER-SKU-OF-FORTY-CHARACTERS-{i:05d}" for i in range(25_000)]
    for key in keys:
        account.market.offer(key, "sku", shown=9)
    rows = [(key, 4) for key in keys]
    assert (await account.write(*rows, route="feed")).rows == ()
    await account.clock.advance(30)
    report = await account.write(*rows, route="feed")
    assert sum(isinstance(row, Pending) for row in report.rows) == FEED.max_rows == 25_000
    [put] = account.requests("PUT", "/tortuga/")
    assert len(put.content) < 10 * 1024 * 1024
    await account.clock.advance(20)
    account.emulator.settle()
    assert {account.shown(key) for key in keys} == {4}
    told = await account.collect(report)
    assert len(told) == 80, "a collect reads a few pages only"
    told |= await account.collect(report, after=1000, known=told)
    assert len(told) == 25_000


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.GARBAGE_AFTER])
async def test_feed_whose_id_was_lost_is_found_again_in_the_list(open_account: Open, kind: FaultKind) -> None:
    account = open_account()
    await account.write((A, 4), route="feed")
    account.emulator.faults.add(Fault("create_feed", kind))
    report = await account.write((B, 5), route="feed")
    assert await account.collect(report, after=20) == {0: Accepted(0, 5)}
    assert account.shown(B) == 5


@pytest.mark.parametrize("operation", ["create_feed_document", "create_feed", "search_listings"])
@pytest.mark.parametrize("status", [400, 413])
async def test_step_that_is_refused_outright_lets_the_core_halve_the_call(
    open_account: Open, operation: str, status: int
) -> None:
    account = open_account()
    account.emulator.faults.add(Fault(operation, FaultKind.STATUS, status=status))
    with pytest.raises(CallRefused, match=str(status)):
        await account.write((A, 5), (B, 6), route="feed")
    assert await account.collect(await account.write((A, 5), route="feed"), after=20) == {0: Accepted(0, 5)}


async def test_feed_that_may_never_have_been_made_stays_in_doubt(open_account: Open) -> None:
    account = open_account()
    account.emulator.faults.add(Fault("create_feed", FaultKind.LOST_BEFORE, times=2))
    with pytest.raises(InDoubt):
        await account.write((A, 5), route="feed")
    account.emulator.faults.add(Fault("get_feeds", FaultKind.STATUS, status=500))
    with pytest.raises(InDoubt, match="create_feed"):
        await account.write((A, 5), route="feed")


async def test_five_feeds_in_five_minutes_are_never_exceeded(open_account: Open) -> None:
    account = open_account()
    for i in range(5):
        await account.write((A, i), route="feed")
    assert account.clock.monotonic() < 5, "all five at once"
    for i in range(12):
        await account.write((A, i), route="feed")
    assert account.emulator.violations == 0


@pytest.mark.parametrize("kind", [FaultKind.STATUS, FaultKind.GARBAGE, FaultKind.LOST_BEFORE])
async def test_trouble_of_one_api_leaves_the_other_results_told(open_account: Open, kind: FaultKind) -> None:
    account = open_account()
    patched, fed = await account.write((A, 5)), await account.write((B, 6), route="feed")
    both = WriteReport((*patched.rows, replace(fed.rows[0], index=1)))
    account.emulator.faults.add(Fault("get_feed", kind, status=500))
    told = await account.collect(both, after=20)
    assert told == {0: Accepted(0, 5)}
    account.emulator.faults.add(Fault("search_listings", kind, status=500))
    assert await account.collect(both, known=told) == {}, "the feed is known now, its page not yet"
    assert await account.collect(both, known=told) == {1: Accepted(1, 6)}


async def test_key_that_died_is_told_while_results_are_asked_for(open_account: Open) -> None:
    account = open_account()
    report = await account.write((A, 5))
    account.emulator.key_works = False
    with pytest.raises(SignInRequired):
        await account.collect(report)


async def test_rate_of_the_account_is_followed(open_account: Open) -> None:
    account = open_account()
    limiter = FollowingLimiter()
    account.channel = account.open(limiter)
    account.emulator.set_rate("search_listings", 10.0)
    for _ in range(2):
        await account.run(account.channel.read_stock([A]))
    assert limiter.told == [("search_listings", None, 10.0, None)], "told once for each change"


class FollowingLimiter(RecordingLimiter):
    """Keeps what it is told of rates."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, float | None, float | None, float | None]] = []

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        self.told.append((operation, available, per_second, burst))


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_access_token_is_renewed_before_its_hour_is_over(open_account: Open) -> None:
    account = open_account()
    for _ in range(4):
        await account.run(account.channel.read_stock([A]))
        await account.clock.advance(1750)
    assert account.emulator.tokens_given == 2
    assert not [answer for _, answer in account.sent if answer.status_code == 403]


async def test_shops_of_one_account_share_one_token(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A]))
    await account.run(account.open().read_stock([A]))
    assert account.emulator.tokens_given == 1


async def test_key_that_dies_in_the_middle_of_a_batch_leaves_the_rest_queued(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.read_stock([A, B]))
    await account.write((A, 5))
    account.emulator.key_works = False
    with pytest.raises(SignInRequired, match="authorise it again"):
        await account.write((B, 6))
    assert (account.shown(A), account.shown(B)) == (5, 50)
    account.emulator.key_works = True
    assert await account.collect(await account.write((B, 6))) == {0: Accepted(0, 6)}


async def test_secret_that_was_not_rotated_asks_for_a_person(open_account: Open) -> None:
    account = open_account()
    account.emulator.secret_works = False
    with pytest.raises(SignInRequired, match="not rotated in time") as raised:
        await account.run(account.channel.check())
    assert "emulated" not in str(raised.value)


async def test_refresh_token_given_anew_is_kept_and_the_old_one_falls_back_in(open_account: Open) -> None:
    account = open_account()
    account.emulator.next_refresh_token = "Atzr|next"
    await account.run(account.channel.read_stock([A]))
    await account.clock.advance(3600)
    await account.run(account.channel.read_stock([A]))
    account.emulator.next_refresh_token = "Atzr|later"  # the kept one is dead now; the settings' one still works
    await account.clock.advance(3600)
    await account.run(account.channel.read_stock([A]))
    assert account.emulator.tokens_given == 3


async def test_role_that_is_missing_asks_for_a_person(open_account: Open) -> None:
    account = open_account()
    account.emulator.roles_lost.add("listings")
    with pytest.raises(SignInRequired, match="role"):
        await account.run(account.channel.check())


async def test_check_counts_the_secrets_end_from_its_issue(open_account: Open) -> None:
    account = open_account()
    report = await account.run(account.channel.check())
    assert report.account == "A2EMULATEDSELLER"
    assert (report.key_expires_at - account.clock.now()).days == 180
    silent = open_account({"client_secret_issued": None})
    report = await silent.run(silent.channel.check())
    assert report.key_expires_at is None
    assert "client_secret_issued" in report.warnings[0]


# --- options --------------------------------------------------------------------------------------------------------


async def test_lead_time_is_set_with_the_number_the_page_shows(open_account: Open) -> None:
    account = open_account()
    await account.run(account.channel.set_listing_options(A, {"lead_time_days": "5"}))
    assert account.emulator.listings.options[A] == {"lead_time_to_ship_max_days": 5}
    assert account.shown(A) == 50


async def test_options_wait_while_a_number_is_on_its_way(open_account: Open) -> None:
    account = open_account(shown_after="800")
    report = await account.write((A, 3))
    with pytest.raises(Unavailable, match="on its way"):
        await account.run(account.channel.set_listing_options(A, {"lead_time_days": "5"}))
    await account.collect(report, after=800)
    await account.run(account.channel.set_listing_options(A, {"lead_time_days": "5"}))
    await account.clock.advance(800)
    account.emulator.settle()
    assert account.shown(A) == 3


@pytest.mark.parametrize(
    ("sku", "options", "told"),
    [
        (A, {"lead_time_days": "-1"}, "whole days"),
        (A, {"lead_time_days": "soon"}, "whole days"),
        (A, {"restock_date": "24/12"}, "a date like"),
        (A, {"colour": "red"}, "no option colour"),
        ("nobody", {"lead_time_days": "1"}, "no SKU nobody"),
        (B, {"lead_time_days": "1"}, "not shipped by the seller"),
        (C, {"lead_time_days": "1"}, "counts no stock"),
    ],
)
async def test_options_that_amazon_does_not_take_are_refused_by_name(
    open_account: Open, sku: str, options: dict[str, str], told: str
) -> None:
    account = open_account()
    account.emulator.listings.fba.add(B)
    account.market.listings[C].counted = False
    with pytest.raises(ValueError, match=told):
        await account.run(account.channel.set_listing_options(sku, options))
    assert account.requests("PATCH", "/") == []
