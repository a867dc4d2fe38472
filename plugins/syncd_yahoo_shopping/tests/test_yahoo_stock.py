"""Stock out and in: the partial answer, what is in doubt, duplicates, stock close, overdraft, stock CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from syncd.sdk.channel import Accepted, Form, Pending, Reason, Rejected, StockWrite, Unreported
from syncd.sdk.errors import BrokenAnswer, CallRefused, Closed, InDoubt, Throttled, TryAgain
from syncd.testing.emulator import Fault, FaultKind
from syncd_yahoo_shopping.settings import Overdraft, StockClose, StockRoute

pytestmark = pytest.mark.anyio

SET, CHANGE = Form.ABSOLUTE, Form.RELATIVE_SILENT


async def test_sets_and_changes_go_out_in_one_form_and_tell_the_number_after(mall: Any) -> None:
    report = await mall.write((mall.keys[0], SET, 5), (mall.keys[1], CHANGE, 2), (mall.keys[2], CHANGE, -3))
    assert report.rows == (Accepted(0, 5), Accepted(1, 502), Accepted(2, 497))
    [sent] = mall.calls("setStock")
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"quantity=5%2C%2B2%2C-3" in sent.content
    assert parse_qs(sent.content.decode()) == {
        "seller_id": ["snbx-emulated"],
        "item_code": ["mug-0,tee-1:tee-1-red,mug-2"],
        "quantity": ["5,+2,-3"],
    }


async def test_a_207_is_read_row_by_row(mall: Any) -> None:
    mall.emulator.stock.row_errors[mall.keys[1]] = "st-02104"
    report = await mall.write(*((key, SET, 7) for key in mall.keys[:3]))
    assert report.rows == (Accepted(0, 7), Rejected(1, Reason.INVALID, "st-02104"), Accepted(2, 7))
    assert report.unreported is Unreported.UNTOUCHED


@pytest.mark.parametrize("form", [SET, CHANGE])
async def test_ed_10002_was_written_and_is_in_doubt_never_repeated(mall: Any, form: Form) -> None:
    mall.emulator.stock.row_errors[mall.keys[1]] = "ed-10002"
    report = await mall.write((mall.keys[0], form, 7), (mall.keys[1], form, 7))
    assert [row.index for row in report.rows] == [0]
    assert report.unreported is Unreported.UNSURE
    assert mall.shown(1) == (7 if form is SET else 507)


@pytest.mark.parametrize("code", ["ed-10001", "st-02999", "ed-00001", "od-unheard-of"])
async def test_a_row_that_fails_by_an_undocumented_code_is_in_doubt(mall: Any, code: str) -> None:
    mall.emulator.stock.row_errors[mall.keys[0]] = code
    report = await mall.write((mall.keys[0], SET, 7), (mall.keys[1], SET, 7))
    assert report.rows == (Accepted(1, 7),)
    assert report.unreported is Unreported.UNSURE


async def test_a_row_that_is_missing_from_the_answer_is_in_doubt(mall: Any) -> None:
    body = "<ResultSet><Result><ItemCode>mug-0</ItemCode><SubCode/><Quantity>7</Quantity></Result></ResultSet>"
    mall.answer_once("setStock", httpx.Response(200, text=body))
    report = await mall.write((mall.keys[0], SET, 7), (mall.keys[1], SET, 7))
    assert report.rows == (Accepted(0, 7),)
    assert report.unreported is Unreported.UNSURE


async def test_an_answer_about_another_listing_is_not_believed(mall: Any) -> None:
    body = "<ResultSet><Result><ItemCode>other</ItemCode><SubCode/><Quantity>7</Quantity></Result></ResultSet>"
    mall.answer_once("setStock", httpx.Response(200, text=body))
    with pytest.raises(BrokenAnswer, match="other"):
        await mall.write((mall.keys[0], SET, 7))


async def test_a_code_twice_in_one_call_goes_out_once_and_the_second_stays_queued(mall: Any) -> None:
    report = await mall.write((mall.keys[0], SET, 7), (mall.keys[0], SET, 9), (mall.keys[1], SET, 1))
    assert [row.index for row in report.rows] == [0, 2]
    assert report.unreported is Unreported.UNTOUCHED
    assert mall.shown() == 7


@pytest.mark.parametrize("key", ["", "a b", "a_b", "mug,1", "mug:", ":red", "mug:a:b", "x" * 100, "マグ"])
async def test_a_key_that_yahoo_could_not_hold_is_refused_here(mall: Any, key: str) -> None:
    report = await mall.write((key, SET, 7), (mall.keys[1], SET, 7))
    assert [type(row) for row in report.rows] == [Rejected, Accepted]
    assert report.rows[0].reason is Reason.INVALID
    assert key not in await mall.run(mall.channel.read_stock([key]))


async def test_a_negative_number_cannot_be_set(mall: Any) -> None:
    assert isinstance((await mall.write((mall.keys[0], SET, -1))).rows[0], Rejected)
    assert not mall.calls("setStock")


async def test_one_unknown_listing_among_a_thousand_is_accepted_and_found_out_by_reading(mall: Any) -> None:
    """Yahoo keeps the number for any code: success never proves the listing."""
    keys = [f"many-{i}" for i in range(999)]
    for key in keys:
        mall.market.offer(key, "sku", shown=1)
    rows = [(key, SET, 3) for key in (*keys[:500], "no-such", *keys[500:])]
    report = await mall.write(*rows)
    assert len(report.rows) == 1000
    assert all(isinstance(row, Accepted) for row in report.rows)
    read = await mall.run(mall.channel.read_stock([key for key, _, _ in rows]))
    assert len(read) == 999
    assert "no-such" not in read
    assert len(mall.calls("getStock")) == 1


@pytest.mark.parametrize(("setting", "after"), [("negative", -3), ("clamped", 0), ("refused", 5)])
async def test_a_change_below_zero_is_told_as_the_mall_took_it(
    open_mall: Callable[..., Any], setting: str, after: int
) -> None:
    mall = open_mall(below_zero=setting)
    mall.market.hand_edit(mall.keys[0], 5)
    [row] = (await mall.write((mall.keys[0], CHANGE, -8))).rows
    assert mall.shown() == after
    if setting == "refused":
        assert row == Rejected(0, Reason.BELOW_ZERO, "st-02104")
    else:
        assert row == Accepted(0, after)


# --- the call as a whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["by_code", "200"])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("st-02101", CallRefused),
        ("st-02106", CallRefused),
        ("ed-00002", Closed),
        ("st-02000", Closed),
        ("ed-00001", InDoubt),
        ("st-02999", InDoubt),
        ("ed-00006", InDoubt),
    ],
)
async def test_a_whole_failure_is_classed_by_its_code_whatever_its_status(
    open_mall: Callable[..., Any], status: str, code: str, error: type[Exception]
) -> None:
    mall = open_mall(error_status=status)
    mall.emulator.stock.whole_error = code
    with pytest.raises(error, match=code):
        await mall.write((mall.keys[0], SET, 7))


async def test_while_the_store_publishes_a_write_is_tried_again(mall: Any) -> None:
    mall.emulator.stock.busy = True
    with pytest.raises(TryAgain, match="publishing"):
        await mall.write((mall.keys[0], SET, 7))


async def test_a_call_of_1001_codes_is_refused_whole(mall: Any) -> None:
    with pytest.raises(CallRefused, match="st-02102"):
        await mall.write(*((f"many-{i}", SET, 1) for i in range(1001)))


@pytest.mark.parametrize("answer", ["403", "503", "403_page", "503_page"])
@pytest.mark.parametrize("form", [SET, CHANGE])
async def test_a_closed_url_means_a_minute_of_rest_and_a_bare_503_proves_nothing_for_a_change(
    open_mall: Callable[..., Any], answer: str, form: Form
) -> None:
    mall = open_mall(throttle_answer=answer)
    mall.limiter.budgets = ()
    await mall.write((mall.keys[0], SET, 7))
    with pytest.raises(InDoubt if answer.startswith("503") and form is CHANGE else Throttled) as raised:
        await mall.write((mall.keys[0], form, 9))
    assert getattr(raised.value, "after_seconds", 60.0) == 60.0
    assert mall.shown() == 7


@pytest.mark.parametrize("lock", ["60", "300"])
async def test_a_url_stays_closed_for_its_time_and_opens_again(open_mall: Callable[..., Any], lock: str) -> None:
    mall = open_mall(lock_seconds=lock)
    mall.limiter.budgets = ()
    await mall.write((mall.keys[0], SET, 7))
    for _ in range(int(lock) // 60):
        with pytest.raises(Throttled):
            await mall.write((mall.keys[0], SET, 9))
        await mall.clock.advance(59)
    await mall.clock.advance(int(lock))
    assert (await mall.write((mall.keys[0], SET, 9))).rows == (Accepted(0, 9),)
    assert mall.emulator.violations == 1


@pytest.mark.parametrize("answer", ["coded", "page_503", "page_200"])
async def test_the_item_editors_maintenance_stops_stock_and_not_orders(
    open_mall: Callable[..., Any], answer: str
) -> None:
    mall = open_mall(maintenance_answer=answer)
    await mall.poll()
    mall.emulator.stock_closed = True
    order = mall.buy()
    with pytest.raises(Closed):
        await mall.run(mall.channel.read_stock(mall.keys))
    with pytest.raises(Closed if answer == "coded" else InDoubt):
        await mall.write((mall.keys[0], SET, 7))
    await mall.poll()
    assert order.number in mall.states
    assert mall.shown() == 499


async def test_a_change_that_timed_out_is_in_doubt(mall: Any) -> None:
    mall.emulator.faults.add(Fault("set_stock", FaultKind.LOST_AFTER))
    with pytest.raises(InDoubt):
        await mall.write((mall.keys[0], CHANGE, -5))
    assert await mall.run(mall.channel.read_stock(mall.keys[:1])) == {mall.keys[0]: 495}


# --- what reads as a number ---------------------------------------------------------------------------------


async def test_an_item_that_sells_beyond_its_stock_has_no_number_that_stops_buyers(
    open_mall: Callable[..., Any],
) -> None:
    mall = open_mall()
    mall.emulator.stock.overdraft.add(mall.keys[0])
    mall.market.hand_edit(mall.keys[0], 0)
    assert await mall.run(mall.channel.read_stock(mall.keys[:2])) == {mall.keys[0]: None, mall.keys[1]: 500}
    await mall.write((mall.keys[0], SET, 0))
    assert mall.keys[0] in mall.emulator.stock.overdraft  # kept as the shop has it


async def test_a_shop_that_wants_no_overdraft_has_it_switched_off_by_every_write(
    open_mall: Callable[..., Any],
) -> None:
    mall = open_mall(settings={"allow_overdraft": Overdraft.OFF})
    mall.emulator.stock.overdraft |= {mall.keys[0], mall.keys[1]}
    await mall.write((mall.keys[0], SET, 0), (mall.keys[2], SET, 1))
    assert parse_qs(mall.calls("setStock")[0].content.decode())["allow_overdraft"] == ["0,0"]
    assert mall.emulator.stock.overdraft == {mall.keys[1]}
    assert await mall.run(mall.channel.read_stock(mall.keys[:2])) == {mall.keys[0]: 0, mall.keys[1]: 500}


@pytest.mark.parametrize("shows", ["number", "zero"])
async def test_stock_close_keeps_a_page_sold_out_until_a_restock_releases_it(
    open_mall: Callable[..., Any], shows: str
) -> None:
    mall = open_mall(settings={"stock_close": StockClose.RELEASE}, closed_shows=shows)
    mall.emulator.orders.cancel_out_of_stock(mall.buy(2).number)
    assert mall.shown() == 0
    await mall.write((mall.keys[0], SET, 0))
    assert mall.shown() == 0
    report = await mall.write((mall.keys[0], SET, 12), (mall.keys[1], CHANGE, -1), (mall.keys[2], CHANGE, 1))
    assert report.rows == (Accepted(0, 12), Accepted(1, 499), Accepted(2, 501))
    assert parse_qs(mall.calls("setStock")[-1].content.decode(), keep_blank_values=True)["stock_close"] == ["0,,0"]
    assert mall.shown() == 12


async def test_stock_close_is_left_alone_unless_told_otherwise(mall: Any) -> None:
    mall.emulator.orders.cancel_out_of_stock(mall.buy(2).number)
    await mall.write((mall.keys[0], SET, 12))
    assert b"stock_close" not in mall.calls("setStock")[0].content
    assert mall.shown() == 0


async def test_a_stock_close_parameter_that_yahoo_does_not_know_is_no_wrong_silence(
    open_mall: Callable[..., Any],
) -> None:
    mall = open_mall(settings={"stock_close": StockClose.RELEASE}, stock_close_parameter="refused")
    with pytest.raises(CallRefused, match="px-04001"):
        await mall.write((mall.keys[0], SET, 12))
    assert (await mall.write((mall.keys[0], SET, 0))).rows == (Accepted(0, 0),)


# --- stock CSV ----------------------------------------------------------------------------------------------


async def test_a_stock_csv_is_written_as_the_sheet_has_it_and_accepted_once_it_shows(
    open_mall: Callable[..., Any],
) -> None:
    mall = open_mall(settings={"stock_route": StockRoute.CSV, "stock_close": StockClose.RELEASE})
    report = await mall.write((mall.keys[0], SET, 5), (mall.keys[1], SET, 0))
    assert all(isinstance(row, Pending) for row in report.rows)
    [sent] = mall.calls("uploadStockFile")
    assert sent.url.params["seller_id"] == "snbx-emulated"
    lines = b"code,sub-code,quantity,mode,allow-overdraft,stock-close\r\nmug-0,,5,,,0\r\ntee-1,tee-1-red,0,,,\r\n"
    assert lines in sent.content
    receipts = [row.receipt for row in report.rows]
    assert await mall.run(mall.channel.collect(receipts)) == {}
    await mall.clock.advance(60)
    assert await mall.run(mall.channel.collect(receipts)) == {
        receipts[0]: Accepted(0, 5),
        receipts[1]: Accepted(0, 0),
    }
    assert (mall.shown(0), mall.shown(1)) == (5, 0)


async def test_a_stock_csv_that_never_shows_is_read_back_and_planned_anew(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings={"stock_route": StockRoute.CSV})
    report = await mall.write((mall.keys[0], SET, 5), ("no-such", SET, 5))
    mall.emulator.stock.uploads.clear()
    await mall.clock.advance(1799)
    receipts = [row.receipt for row in report.rows]
    assert await mall.run(mall.channel.collect(receipts)) == {}
    await mall.clock.advance(60)
    answers = await mall.run(mall.channel.collect(receipts))
    assert [answers[receipt].reason for receipt in receipts] == [Reason.STALE, Reason.UNKNOWN_LISTING]


async def test_a_change_can_stand_in_a_stock_csv(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings={"stock_route": StockRoute.CSV}, upload_seconds="0")
    rows = [StockWrite(mall.keys[0], CHANGE, -2), StockWrite(mall.keys[1], CHANGE, 3)]
    await mall.run(mall.channel._api.upload_stock(rows))
    mall.emulator.settle()
    assert (mall.shown(0), mall.shown(1)) == (498, 503)


async def test_an_upload_that_must_name_its_type_is_refused_and_never_in_doubt(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings={"stock_route": StockRoute.CSV}, upload_type="needed")
    with pytest.raises(CallRefused, match="type is required"):
        await mall.run(mall.channel._api.upload_stock([StockWrite(mall.keys[0], Form.ABSOLUTE, 5)]))
    assert mall.emulator.stock.uploads == []
