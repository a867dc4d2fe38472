"""What the fact sheet calls not confirmed: the adapter survives every setting of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Form, Reason, Rejected, Unreported
from syncd.sdk.errors import BrokenAnswer, CallRefused, SignInRequired, Throttled, Unavailable
from syncd.testing.fakes import open_channel
from syncd_rakuten.channel import CAPABILITIES, RakutenChannel
from syncd_rakuten.emulator import RakutenEmulator
from syncd_rakuten.settings import RakutenSettings

pytestmark = pytest.mark.anyio
OpenMall = Callable[..., Any]


def settings_of(quirk: str) -> Any:
    return pytest.mark.parametrize("setting", RakutenEmulator.quirks[quirk])


@settings_of("throttle_answer")
async def test_a_throttled_call_is_tried_again_whatever_it_looks_like(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(throttle_answer=setting)
    hasty = open_channel(RakutenChannel, mall.emulator)  # without a limiter
    await hasty.read_stock(mall.keys)
    right = Unavailable if setting == "503" else Throttled
    with pytest.raises(right) as raised:
        await hasty.read_stock(mall.keys)
    told = getattr(raised.value, "after_seconds", None)
    assert told == (1.0 if setting.endswith("retry_after") else None)


@settings_of("bad_rows_in_400")
async def test_rows_beside_a_refused_one_are_in_doubt_whether_applied_or_not(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(bad_rows_in_400=setting)
    good, bad = (mall.keys[0], Form.RELATIVE_REFUSES, -5), (mall.keys[1], Form.RELATIVE_REFUSES, -501)
    report = await mall.write(good, bad)
    [refused] = report.rows
    assert (refused.index, refused.reason) == (1, Reason.BELOW_ZERO)
    assert report.unreported is Unreported.UNSURE
    read = await mall.run(mall.channel.read_stock([mall.keys[0]]))
    assert read == {mall.keys[0]: 495 if setting == "valid_rows_applied" else 500}


@settings_of("row_names")
async def test_a_refusal_that_names_no_row_is_bisected_by_the_core(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(row_names=setting)
    good, bad = (mall.keys[0], Form.ABSOLUTE, 5), ("nobody/nobody", Form.RELATIVE_REFUSES, -1)
    if setting == "missing":
        with pytest.raises(CallRefused, match="IE0500"):
            await mall.write(good, bad)
    [refused] = (await mall.write(bad)).rows
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.UNKNOWN_LISTING
    [taken] = (await mall.write(good)).rows
    assert isinstance(taken, Accepted)


@settings_of("auth_status")
async def test_a_dead_key_asks_for_a_new_one_at_any_status(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(auth_status=setting)
    mall.emulator.license_ends = mall.clock.now() - timedelta(seconds=1)
    for call in (mall.channel.check(), mall.channel.fetch_orders(None), mall.channel.read_stock(mall.keys)):
        with pytest.raises(SignInRequired, match="ES01-01"):
            await mall.run(call)
    with pytest.raises(SignInRequired):
        await mall.write((mall.keys[0], Form.ABSOLUTE, 5))


@settings_of("cursor_mark")
async def test_listings_are_listed_whichever_mark_begins(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(cursor_mark=setting)
    for i in range(130):
        mall.market.offer(f"more-{i}/v", "sku", shown=3, counted=i % 2 == 0)

    async def everything() -> dict[str, tuple[int | None, bool, str]]:
        return {i.key: (i.quantity, i.counted, i.sku) async for i in mall.channel.list_listings()}

    found = await mall.run(everything())
    assert found.keys() == mall.market.listings.keys()
    assert found["more-0/v"] == (3, True, "sku")
    assert found["more-1/v"] == (None, False, "sku")


@settings_of("content_type")
async def test_the_default_content_type_is_taken_by_the_strictest_gateway(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(content_type=setting)
    mall.buy()
    await mall.poll()
    assert len(mall.states) == 1


async def test_a_refused_content_type_names_the_setting(open_mall: OpenMall) -> None:
    mall = open_mall(content_type="strict")
    settings = RakutenSettings(**{**mall.emulator.settings(), "content_type": "application/json; charset=utf-8"})
    channel: Any = mall.channel
    fussy = RakutenChannel(channel._shop, settings, channel._feed._context)
    with pytest.raises(BrokenAnswer, match="content_type"):
        await mall.run(fussy.fetch_orders(None))


@settings_of("variant_case")
async def test_a_mall_that_folds_variants_is_still_read_by_our_spelling(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(variant_case=setting)
    await mall.write((mall.keys[0], Form.ABSOLUTE, 9))
    assert await mall.run(mall.channel.read_stock(mall.keys[:2])) == {mall.keys[0]: 9, mall.keys[1]: 500}


@settings_of("window_end")
async def test_an_order_of_this_very_second_is_inside_the_window(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(window_end=setting)
    await mall.poll()
    order = mall.buy()
    assert [state.number for state in (await mall.page()).states] == [order.number]


@settings_of("missing_order")
async def test_an_order_that_is_not_given_is_listed(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(missing_order=setting)
    order = mall.buy()
    order.extra["unread"] = True
    page = await mall.page()
    assert page.states == ()
    assert [problem.where for problem in page.problems] == [order.number]


@settings_of("removed_line")
async def test_a_line_taken_out_of_an_order_holds_nothing(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(removed_line=setting)
    order = mall.market.buy({mall.keys[0]: 2, mall.keys[1]: 3})
    await mall.poll()
    mall.market.cancel(order.number, {"1": 2})
    await mall.poll_for(90)
    state = mall.states[order.number]
    assert state.complete
    assert {line.listing: line.counts.held for line in state.lines if line.counts.held} == {mall.keys[1]: 3}


@settings_of("restore_flag")
async def test_units_put_back_are_told_or_left_open_never_invented(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(restore_flag=setting)
    order = mall.buy(4)
    mall.market.cancel(order.number)
    await mall.poll()
    [line] = mall.states[order.number].lines
    assert line.cancelled == 4
    assert line.restocked == (4 if setting == "told" else None)


@settings_of("expiry_format")
async def test_the_end_of_the_key_is_read_in_every_spelling(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(expiry_format=setting)
    report = await mall.run(mall.channel.check())
    assert abs(report.key_expires_at - mall.emulator.license_ends) < timedelta(days=1)
    assert report.account == "emulated-shop"
    assert report.warnings == ()


async def test_without_the_licence_api_the_end_of_the_key_comes_from_the_settings(open_mall: OpenMall) -> None:
    mall = open_mall()
    mall.emulator.switched_off.add("/es/1.0/license-management")
    report = await mall.run(mall.channel.check())
    assert report.key_expires_at is None
    assert "set license_expires" in report.warnings[0]
    settings = RakutenSettings(**mall.emulator.settings(), license_expires=date(2027, 2, 19))
    channel: Any = mall.channel
    told = await mall.run(RakutenChannel(channel._shop, settings, channel._feed._context).check())
    assert told.key_expires_at.isoformat() == "2027-02-19T23:59:59+09:00"


async def test_a_function_that_is_off_in_rms_is_named_by_check(open_mall: OpenMall) -> None:
    mall = open_mall()
    mall.emulator.switched_off.add("/es/2.0/order")
    with pytest.raises(BrokenAnswer, match=r"search_order.*switched on in RMS"):
        await mall.run(mall.channel.check())


async def test_a_shop_that_takes_no_orders_is_not_asked_for_them(open_mall: OpenMall) -> None:
    mall = open_mall(shop_settings={"orders": "off"})
    mall.emulator.switched_off.add("/es/2.0/order")
    assert (await mall.run(mall.channel.check())).account == "emulated-shop"


def test_every_operation_of_a_route_has_a_budget() -> None:
    budgeted = {operation for budget in CAPABILITIES.budgets for operation in budget.operations}
    assert {route.operation for route in CAPABILITIES.routes} | {CAPABILITIES.read_operation} <= budgeted


@settings_of("gateway_status")
async def test_a_write_whose_function_is_off_is_refused_whole_and_never_in_doubt(
    open_mall: OpenMall, setting: str
) -> None:
    mall = open_mall(gateway_status=setting)
    mall.emulator.switched_off.add("/es/2.0/inventories")
    with pytest.raises(CallRefused, match="switched on in RMS"):
        await mall.write((mall.keys[0], Form.ABSOLUTE, 5))
    with pytest.raises(BrokenAnswer, match="switched on in RMS"):
        await mall.run(mall.channel.read_stock(mall.keys))
