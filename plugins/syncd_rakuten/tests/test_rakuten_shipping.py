"""Shipments out: confirmed, by destination, with a code for the carrier, each parcel once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncd.sdk.channel import Accepted, Carrier, Rejected, Shipment, Unreported
from syncd.sdk.errors import CallRefused, InDoubt, TryAgain
from syncd.testing.emulator import Fault, FaultKind
from syncd_rakuten.channel import CAPABILITIES
from syncd_rakuten.emulator import RakutenEmulator
from syncd_rakuten.emulator_orders import parcels_of, progress_of
from syncd_rakuten.settings import Confirm
from syncd_rakuten.wire import JST

pytestmark = pytest.mark.anyio
OpenMall = Callable[..., Any]


def parcel(mall: Any, order: Any, tracking: str = "111122223333", **more: Any) -> Shipment:
    return Shipment(order.number, more.pop("carrier", Carrier.YAMATO), tracking, mall.clock.now(), **more)


async def ship(mall: Any, *parcels: Shipment) -> Any:
    return await mall.run(mall.channel.send_shipments(parcels))


def buy_two_lines(mall: Any, **baskets: int) -> Any:
    order = mall.market.buy({mall.keys[0]: 1, mall.keys[1]: 2})
    order.extra["baskets"] = {name.removeprefix("line"): basket for name, basket in baskets.items()}
    return order


async def test_an_order_awaiting_confirmation_is_confirmed_and_then_shipped(mall: Any) -> None:
    order = mall.buy(2)
    assert progress_of(order) == 100
    [taken] = (await ship(mall, parcel(mall, order))).rows
    assert isinstance(taken, Accepted)
    assert progress_of(order) == 500
    [row] = parcels_of(order)
    assert (row["deliveryCompany"], row["shippingNumber"]) == ("1001", "111122223333")
    assert row["shippingDate"] == mall.clock.now().astimezone(JST).strftime("%Y-%m-%d")


async def test_orders_are_never_confirmed_where_the_shop_does_it_itself(mall: Any) -> None:
    order = mall.buy()
    channel: Any = mall.channel
    channel._shipping._settings = channel._settings.model_copy(update={"confirm": Confirm.NEVER})
    [refused] = (await ship(mall, parcel(mall, order))).rows
    assert isinstance(refused, Rejected)
    assert "注文確認待ち" in refused.message
    assert progress_of(order) == 100


@pytest.mark.parametrize("setting", RakutenEmulator.quirks["confirmed_order"])
async def test_what_rakuten_still_processes_waits_unreported(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(confirmed_order=setting)
    order = mall.buy()
    report = await ship(mall, parcel(mall, order))
    if setting == "processed_first":
        assert (report.rows, report.unreported) == ((), Unreported.UNTOUCHED)
        order.extra["orderProgress"] = 300
        report = await ship(mall, parcel(mall, order))
    assert [type(one) for one in report.rows] == [Accepted]
    assert progress_of(order) == 500


@pytest.mark.parametrize("progress", [400, 800, 900])
async def test_a_change_or_cancel_awaiting_its_fix_is_refused_with_the_way_out(mall: Any, progress: int) -> None:
    order = mall.buy()
    order.extra["orderProgress"] = progress
    [refused] = (await ship(mall, parcel(mall, order))).rows
    assert isinstance(refused, Rejected)
    assert refused.message
    assert order.parcels == []


@pytest.mark.parametrize(
    ("carrier", "code"),
    [
        (Carrier.YAMATO, "1001"), (Carrier.SAGAWA, "1002"), (Carrier.JAPAN_POST, "1003"), (Carrier.SEINO, "1004"),
        (Carrier.FUKUYAMA, "1006"), (Carrier.MEITETSU, "1031"), (Carrier.DHL, "1000"), (Carrier.OTHER, "1000"),
    ],
)  # fmt: skip
async def test_carriers_go_by_code_and_those_without_one_as_other(mall: Any, carrier: Carrier, code: str) -> None:
    order = mall.buy()
    await ship(mall, parcel(mall, order, carrier=carrier, carrier_name="Pigeon Post"))
    assert [one["deliveryCompany"] for one in parcels_of(order)] == [code]


async def test_the_shipping_date_is_that_of_japan(mall: Any) -> None:
    order = mall.buy()
    late = datetime(2026, 11, 20, 23, 30, tzinfo=JST).astimezone(mall.clock.now().tzinfo)
    await ship(mall, Shipment(order.number, Carrier.YAMATO, "1", late))
    assert [one["shippingDate"] for one in parcels_of(order)] == ["2026-11-20"]


async def test_a_parcel_that_leaves_something_of_its_destination_goes_undated(mall: Any) -> None:
    order = buy_two_lines(mall)
    await ship(mall, parcel(mall, order, "1", lines={"1": 1}, leaves_open={"2": 2}))
    assert progress_of(order) == 300
    assert "shippingDate" not in parcels_of(order)[0]
    await ship(mall, parcel(mall, order, "2", lines={"2": 2}))
    assert progress_of(order) == 500
    assert all(one["shippingDate"] for one in parcels_of(order))


async def test_each_destination_is_reported_by_its_own_basket(mall: Any) -> None:
    order = buy_two_lines(mall, line1=10_000_001, line2=10_000_002)
    await ship(mall, parcel(mall, order, "1", lines={"1": 1}, leaves_open={"2": 2}))
    [first] = parcels_of(order)
    assert (first["basketId"], bool(first.get("shippingDate"))) == (10_000_001, True)
    assert progress_of(order) == 300
    await ship(mall, parcel(mall, order, "2", lines={"2": 2}))
    assert [one["basketId"] for one in parcels_of(order)] == [10_000_001, 10_000_002]
    assert progress_of(order) == 500


async def test_one_parcel_for_a_whole_order_goes_to_every_destination(mall: Any) -> None:
    order = buy_two_lines(mall, line1=10_000_001, line2=10_000_002)
    await ship(mall, parcel(mall, order, "1"))
    assert {one["basketId"] for one in parcels_of(order)} == {10_000_001, 10_000_002}
    assert progress_of(order) == 500


async def test_a_parcel_that_the_order_bears_already_costs_one_read_and_no_write(mall: Any) -> None:
    order = mall.buy()
    await ship(mall, parcel(mall, order))
    before = mall.emulator.calls["update_shipping"]
    [taken] = (await ship(mall, parcel(mall, order))).rows
    assert isinstance(taken, Accepted)
    assert mall.emulator.calls["update_shipping"] == before
    assert order.parcels == ["111122223333"]


async def test_twenty_parcels_of_a_destination_are_the_most(mall: Any) -> None:
    order = buy_two_lines(mall)
    for n in range(20):
        await ship(mall, parcel(mall, order, f"t{n}", lines={"1": 1}, leaves_open={"2": 1}))
    [refused] = (await ship(mall, parcel(mall, order, "t20", lines={"2": 1}))).rows
    assert isinstance(refused, Rejected)
    assert "20" in refused.message


async def test_a_tracking_number_of_121_characters_is_refused_before_a_write(mall: Any) -> None:
    order = mall.buy()
    [refused] = (await ship(mall, parcel(mall, order, "1" * 121))).rows
    assert isinstance(refused, Rejected)
    assert mall.emulator.calls["update_shipping"] == 0


@pytest.mark.parametrize("setting", RakutenEmulator.quirks["refusal_status"])
async def test_a_refusal_counts_whatever_its_status(open_mall: OpenMall, setting: str) -> None:
    mall = open_mall(refusal_status=setting)
    order, other = mall.buy(), mall.buy()
    models = {one.number: mall.emulator.orders.model(one, 10) for one in (order, other)}
    for model in models.values():
        model["orderProgress"] = 300
    order.extra["orderProgress"] = 900  # cancelled between our read and our call
    other.extra["confirmed"] = True

    async def read(numbers: object) -> dict[str, Any]:
        return dict(models)

    mall.channel._shipping._api.order_models = read
    first, second = (await ship(mall, parcel(mall, order, "1"), parcel(mall, other, "2"))).rows
    assert isinstance(first, Rejected)
    assert "UPDATE_ORDERSHIPPING_ERROR" in first.message
    assert isinstance(second, Accepted)


async def test_a_call_in_the_middle_that_loses_its_answer_leaves_the_rest_unsure(mall: Any) -> None:
    orders = [mall.buy() for _ in range(3)]
    mall.emulator.faults.script.append(Fault("update_shipping", FaultKind.LOST_AFTER, skip=1))
    report = await ship(mall, *(parcel(mall, order, f"t{i}") for i, order in enumerate(orders)))
    assert [one.index for one in report.rows] == [0]
    assert report.unreported is Unreported.UNSURE
    again = await ship(mall, *(parcel(mall, order, f"t{i}") for i, order in enumerate(orders)))
    assert [type(one) for one in again.rows] == [Accepted] * 3
    assert [order.parcels for order in orders] == [["t0"], ["t1"], ["t2"]]


async def test_a_call_in_the_middle_that_is_too_fast_leaves_the_rest_untouched(mall: Any) -> None:
    orders = [mall.buy() for _ in range(3)]
    mall.emulator.faults.script.append(Fault("update_shipping", FaultKind.STATUS, status=429, skip=1))
    report = await ship(mall, *(parcel(mall, order, f"t{i}") for i, order in enumerate(orders)))
    assert [one.index for one in report.rows] == [0]
    assert report.unreported is Unreported.UNTOUCHED


async def test_a_lost_confirmation_is_tried_again_and_a_lost_report_is_in_doubt(mall: Any) -> None:
    order = mall.buy()
    for operation, error in (("confirm_order", TryAgain), ("update_shipping", InDoubt)):
        mall.emulator.faults.script[:] = [Fault(operation, FaultKind.LOST_AFTER)]
        with pytest.raises(error):
            await ship(mall, parcel(mall, order))


async def test_a_function_that_is_off_in_rms_is_named(mall: Any) -> None:
    order = mall.buy()
    order.extra["confirmed"] = True
    mall.emulator.switched_off.add("/es/2.0/order/updateOrderShipping")
    with pytest.raises(CallRefused, match="switched on"):
        await ship(mall, parcel(mall, order))


async def test_a_full_call_keeps_to_the_rate_of_the_order_api(mall: Any) -> None:
    orders = [mall.buy() for _ in range(CAPABILITIES.shipment_rows)]
    began = mall.clock.now()
    report = await ship(mall, *(parcel(mall, order, f"t{i}") for i, order in enumerate(orders)))
    assert len(report.rows) == len(orders)
    assert mall.emulator.violations == 0
    assert mall.clock.now() - began < timedelta(seconds=30)
