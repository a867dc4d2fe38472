"""What the fact sheet calls not confirmed or leaves open: the adapter survives every setting of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Rejected, Shipment
from syncd.sdk.errors import Throttled, Unavailable
from syncd.sdk.http import NoLimit
from syncd.testing.fakes import RecordingLimiter
from syncd_amazon.channel import CAPABILITIES
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_orders import order_id

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
A, B = "TEE-0", "TEE-1"


def settings_of(quirk: str) -> Any:
    return pytest.mark.parametrize("setting", AmazonEmulator.quirks[quirk])


@settings_of("unknown_in_feed")
async def test_one_unknown_sku_among_a_thousand_of_a_feed(open_account: Open, setting: str) -> None:
    account = open_account(unknown_in_feed=setting)
    keys = [f"SKU-{i}" for i in range(1000)]
    for key in keys:
        account.market.offer(key, "sku", shown=9)
    rows = [(key, 4) for key in keys]
    await account.write(*rows, route="feed")
    await account.clock.advance(30)
    account.emulator.files.settle()
    report = await account.write(*rows, route="feed")
    account.market.listings[keys[500]].exists = False
    results: dict[int, Any] = {}
    for _ in range(20):
        results |= await account.collect(report, after=30, known=results)
    right = {i for i, key in enumerate(keys) if account.market.listings[key].exists and account.shown(key) == 4}
    assert {i for i, result in results.items() if isinstance(result, Accepted)} == right
    assert isinstance(results[500], Rejected)


@settings_of("zero_quantity")
async def test_offer_at_0_reads_as_0_whether_the_number_is_shown_or_not(open_account: Open, setting: str) -> None:
    account = open_account(zero_quantity=setting)
    assert await account.collect(await account.write((A, 0))) == {0: Accepted(0, 0)}
    account.market.listings[B].counted = False
    assert await account.run(account.channel.read_stock([A, B])) == {A: 0, B: None}


@settings_of("missing_item_body")
async def test_sku_with_a_comma_that_amazon_lacks_is_unknown_whatever_the_404_says(
    open_account: Open, setting: str
) -> None:
    account = open_account(missing_item_body=setting)
    account.market.offer("a,b/c d#e", "sku", shown=3)
    read = await account.run(account.channel.read_stock(["a,b/c d#e", "gone,sku", A]))
    assert read == {"a,b/c d#e": 3, A: 50}


@settings_of("throttle_wait")
async def test_throttled_call_blocks_its_budget_for_the_time_of_one_call(open_account: Open, setting: str) -> None:
    account = open_account(throttle_wait=setting)
    hasty, limiter = account.open(NoLimit()), RecordingLimiter()
    for _ in range(5):
        await account.run(hasty.read_stock([A]))
    account.channel = account.open(limiter)
    with pytest.raises(Throttled) as raised:
        await account.run(account.channel.read_stock([A]))
    told = 1.0 if setting == "told" else None
    assert raised.value.after_seconds == told
    assert limiter.refused == [("search_listings", told or 0.2)]


@settings_of("trouble_body")
async def test_maintenance_is_tried_again_whatever_its_body(open_account: Open, setting: str) -> None:
    account = open_account(trouble_body=setting)
    await account.run(account.channel.check())
    account.emulator.maintenance = True
    for call in (account.channel.read_stock([A]), account.channel.check()):
        with pytest.raises(Unavailable):
            await account.run(call)


@settings_of("carrier_codes")
async def test_shipment_is_taken_whichever_carrier_codes_amazon_knows(open_account: Open, setting: str) -> None:
    account = open_account(carrier_codes=setting)
    order = account.buy(2)
    await account.clock.advance(200)
    shipment = Shipment(order_id(order.number), Carrier.YAMATO, "400012345678", account.clock.now())
    report = await account.run(account.channel.send_shipments([shipment]))
    assert report.rows == (Accepted(0),)
    assert order.lines[0].shipped == 2


@settings_of("restock_date")
async def test_restock_date_is_set_in_whichever_form_amazon_takes(open_account: Open, setting: str) -> None:
    account = open_account(restock_date=setting)
    await account.run(account.channel.set_listing_options(A, {"restock_date": "2026-12-24"}))
    stored = account.emulator.listings.options[A]["restock_date"]
    assert stored == ("2026-12-24" if setting == "date" else "2026-12-24T00:00:00Z")


@settings_of("cancelled_stock")
async def test_cancel_never_claims_to_know_what_amazon_put_back(open_account: Open, setting: str) -> None:
    account = open_account(cancelled_stock=setting)
    await account.poll()
    order = account.buy(3)
    account.market.cancel(order.number)
    await account.poll_after()
    assert account.state(order).lines[0].restocked is None
    assert account.shown(A) == (50 if setting == "comes_back" else 47)


@settings_of("order_sort")
async def test_orders_that_change_between_pages_are_found_in_whichever_order(open_account: Open, setting: str) -> None:
    account = open_account(order_sort=setting)
    await account.poll()
    orders = [account.buy(1, key=i % 10) for i in range(230)]
    await account.clock.advance(200)
    cancelled = iter(orders)
    while True:
        page = await account.run(account.channel.fetch_orders(account.cursor))
        account.cursor = page.cursor
        account.states |= {state.number: state for state in page.states}
        if not page.more:
            break
        for _ in range(20):
            account.market.cancel(next(cancelled).number)
    await account.poll_after()
    held = {order_id(order.number): order.lines[0].held for order in orders}
    assert {number: state.lines[0].counts.held for number, state in account.states.items()} == held


@settings_of("feed_seconds")
@pytest.mark.parametrize("packed", AmazonEmulator.quirks["compression"])
async def test_feed_ends_right_however_long_it_takes_and_however_its_report_is_packed(
    open_account: Open, setting: str, packed: str
) -> None:
    account = open_account(feed_seconds=setting, compression=packed)
    report = await account.write((A, 5), route="feed")
    assert await account.collect(report, after=float(setting) + 5) == {0: Accepted(0, 5)}


@settings_of("report_encoding")
@pytest.mark.parametrize("headers", AmazonEmulator.quirks["report_headers"])
async def test_listing_report_is_read_in_every_encoding_and_language(
    open_account: Open, setting: str, headers: str
) -> None:
    account = open_account(report_encoding=setting, report_headers=headers)
    account.emulator.listings.fba.add(B)
    listed = {info.key: info for info in await account.run(_all(account))}
    assert listed.keys() == set(account.keys)
    assert (listed[A].writable, listed[A].quantity) == (True, 50)
    assert (listed[B].writable, listed[B].quantity) == (False, None)
    assert listed[A].name.startswith("テスト商品")
    assert listed[A].jan == "4900000000000"


async def _all(account: Any) -> list[Any]:
    return [info async for info in account.channel.list_listings()]


def test_every_quirk_stands_in_the_readme_and_in_a_test() -> None:
    here = Path(__file__).parent
    readme = (here.parent / "README.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    for quirk in AmazonEmulator.quirks:
        assert f"`{quirk}`" in readme, quirk
        assert f'"{quirk}"' in tests or f"{quirk}=" in tests, quirk


def test_every_operation_has_a_budget() -> None:
    budgeted = {name for budget in CAPABILITIES.budgets for name in budget.operations}
    assert {route.operation for route in CAPABILITIES.routes} | {CAPABILITIES.read_operation} <= budgeted
