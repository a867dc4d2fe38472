"""Contract: shipments out. Each parcel reaches its order once, whatever repeats or fails; what is refused is named."""

from __future__ import annotations

from collections.abc import Mapping

from syncd.sdk.channel import Accepted, Carrier, Channel, Pending, Rejected, Shipment, Unreported, WriteReport
from syncd.sdk.errors import BrokenAnswer, ChannelError, InDoubt, SignInRequired, TryAgain
from syncd.testing.contract_faults import named
from syncd.testing.contract_orders import OrdersContract, buy_many
from syncd.testing.contract_stage import Stage, checked, need
from syncd.testing.emulator import FaultKind
from syncd.testing.world import TruthOrder

NO_SHIPMENTS = "takes_shipments is off: this channel takes no shipments"


class ShipmentsContract(OrdersContract):
    """Reporting shipments. Applies where `takes_shipments` is declared.

    The emulator keeps the tracking numbers it was told in `TruthOrder.parcels`, and ships by `Market.ship`.
    """

    def parcel(
        self,
        stage: Stage,
        order: TruthOrder,
        tracking: str,
        lines: Mapping[str, int] | None = None,
        rest: Mapping[str, int] | None = None,
    ) -> Shipment:
        """A parcel of an order as the core tells it."""
        return Shipment(
            order=self.order_number(order),
            carrier=Carrier.YAMATO,
            tracking=tracking,
            shipped_at=stage.clock.now(),
            lines=lines or {},
            leaves_open=rest or {},
        )

    async def tell(self, stage: Stage, *parcels: Shipment, channel: Channel | None = None) -> WriteReport:
        report = await stage.call((channel or stage.channel).send_shipments(parcels))
        checked(report, len(parcels))
        return report

    async def orders_of(self, stage: Stage, count: int) -> list[TruthOrder]:
        """Orders that the channel has read, as the core would have before it ships them."""
        orders = buy_many(stage, count)
        bound = stage.capabilities.visibility_seconds + 3 * stage.capabilities.poll_seconds
        await stage.poll_until(lambda: len(stage.seen) >= len(stage.market.orders), within_seconds=bound)
        return orders

    @staticmethod
    def accepted(report: WriteReport) -> list[int]:
        """Indexes that the shop took, now or to be told by the order."""
        return sorted(one.index for one in report.rows if isinstance(one, Accepted | Pending))

    @staticmethod
    def left(order: TruthOrder) -> bool:
        return all(line.shipped == line.ordered - line.cancelled for line in order.lines)

    async def test_whole_order_is_shipped_with_its_tracking_number(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        first, second = await self.orders_of(stage, 2)
        report = await self.tell(stage, self.parcel(stage, first, "111122223333"))
        await stage.settled()
        assert self.accepted(report) == [0], report
        assert first.parcels == ["111122223333"]
        assert self.left(first)
        assert not second.parcels
        assert not any(line.shipped for line in second.lines)

    async def test_a_full_call_of_shipments_reaches_each_order_once(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        orders = await self.orders_of(stage, min(stage.capabilities.shipment_rows, 30))
        parcels = [self.parcel(stage, order, f"4444{n:08d}") for n, order in enumerate(orders)]
        report = await self.tell(stage, *parcels)
        await stage.settled()
        assert self.accepted(report) == list(range(len(orders))), report
        assert [order.parcels for order in orders] == [[parcel.tracking] for parcel in parcels]

    async def test_same_parcel_told_again_is_taken_once(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        [order] = await self.orders_of(stage, 1)
        parcel = self.parcel(stage, order, "555566667777")
        await self.tell(stage, parcel)
        await stage.settled()
        await stage.clock.advance(stage.capabilities.poll_seconds)
        again = await self.tell(stage, parcel, channel=stage.open())
        await stage.settled()
        assert self.accepted(again) == [0], f"a parcel that the order bears already was not accepted: {again}"
        assert order.parcels == ["555566667777"]

    async def test_shipment_of_an_unknown_order_is_refused(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        [order] = await self.orders_of(stage, 1)
        known = self.parcel(stage, order, "1")
        ghost = Shipment(f"{known.order[:-1]}9x", Carrier.YAMATO, "1", stage.clock.now())
        [outcome] = (await self.tell(stage, ghost)).rows
        assert isinstance(outcome, Rejected)
        assert outcome.message, "a refusal that does not say why helps nobody"

    async def test_shipment_of_a_cancelled_order_is_refused(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        [order] = await self.orders_of(stage, 1)
        stage.market.cancel(order.number)
        [outcome] = (await self.tell(stage, self.parcel(stage, order, "1"))).rows
        await stage.settled()
        assert isinstance(outcome, Rejected), outcome
        assert not any(line.shipped for line in order.lines)

    async def test_two_parcels_of_one_order_ship_all_of_it_and_not_before_the_last(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        orders = await self.orders_of(stage, 6)
        order = next(one for one in orders if len(one.lines) > 1)
        state = stage.seen[self.order_number(order)]
        units = {line.line: line.ordered for line in state.lines}
        first, *others = units
        rest = {line: units[line] for line in others}
        assert self.accepted(await self.tell(stage, self.parcel(stage, order, "1001", {first: units[first]}, rest)))
        await stage.settled()
        assert not self.left(order), "the whole order counts as shipped, and a part of it was"
        assert self.accepted(await self.tell(stage, self.parcel(stage, order, "1002", rest)))
        await stage.settled()
        assert self.left(order)
        assert sorted(order.parcels) == ["1001", "1002"]

    async def test_dead_key_stops_shipments_and_ships_nothing(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        [order] = await self.orders_of(stage, 1)
        stage.emulator.key_works = False
        error = await stage.failure(stage.channel.send_shipments([self.parcel(stage, order, "1")]))
        assert isinstance(error, SignInRequired), named(error)
        assert not order.parcels

    async def swept(self, stage: Stage, kind: FaultKind, **fault: float) -> list[ChannelError]:
        """Tell a shipment under a fault in its first inner call, in its second, …: no error denies what was done."""
        orders = iter(await self.orders_of(stage, 24))
        told: list[TruthOrder] = []

        async def work(channel: Channel) -> WriteReport:
            told.append(next(orders))
            return await channel.send_shipments([self.parcel(stage, told[-1], "77")])

        errors: list[ChannelError] = []
        async for report, error in stage.sweep(kind, work, **fault):
            await stage.settled()
            took = bool(told[-1].parcels)
            if error is not None:
                assert isinstance(error, InDoubt | BrokenAnswer | TryAgain), named(error)
                assert not took or isinstance(error, InDoubt | BrokenAnswer), (
                    f"shipped, and the error denies it: {named(error)}"
                )
                errors.append(error)
            elif report is not None and report.unreported is not Unreported.UNSURE:
                assert bool(self.accepted(report)) == took, f"{report}, and the order bears {told[-1].parcels}"
        return errors

    async def test_lost_answer_of_a_shipment_is_in_doubt(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        errors = await self.swept(stage, FaultKind.LOST_AFTER)
        assert any(isinstance(error, InDoubt) for error in errors), f"never in doubt: {[named(e) for e in errors]}"

    async def test_connection_lost_before_a_shipment_denies_nothing(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        assert await self.swept(stage, FaultKind.LOST_BEFORE)

    async def test_garbage_in_answer_to_a_shipment_is_no_success(self, stage: Stage) -> None:
        need(stage.capabilities.takes_shipments, NO_SHIPMENTS)
        assert await self.swept(stage, FaultKind.GARBAGE_AFTER)
