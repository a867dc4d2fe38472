"""Tell a shop of its shipments (出荷): the rows that the desk booked, oldest first, each parcel once.

    queued ──> sent ──> accepted                    the row is `sent`, durable, before the first byte leaves
      │  ^      ├─────> refused                     kept and alarmed; a person sends it again, settles or withdraws it
      │  └──────┤ nothing changed at the shop       with back-off
      │         └─────> in doubt ──> accepted       the order's state shows the units as shipped
      └──────────────────────┴────> queued          a state read after the call's last effect does not show them
    not sent: booked here only (dry run, or the shop takes none)        withdrawn: never left

Nothing in doubt is repeated before the order's own state says that it did not arrive. Where a shop shows no shipments
a person decides. A crash leaves `sent` rows, which are in doubt at the next start. What a shop shows as shipped is
also settled when it was refused: somebody entered it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from syncd.core.retry import back_off_seconds
from syncd.daemon.hub import Hub, Shop, Trouble
from syncd.daemon.limits import urgency
from syncd.daemon.running import PluginFault
from syncd.model import Lane, ShipmentState, from_us
from syncd.sdk.channel import (
    Accepted,
    Carrier,
    OrderFilter,
    Pending,
    Rejected,
    Shipment,
    Unreported,
    WriteReport,
)
from syncd.sdk.errors import CallRefused, ChannelError, InDoubt
from syncd.store import orders as order_rows
from syncd.store import shipments, shops
from syncd.store.orders import LineRow
from syncd.store.shipments import ParcelLine, ShipmentRow

log = structlog.get_logger()
REFUSED = "shipment_refused"
DEAD_AFTER_SECONDS = 60.0
LOOK_SECONDS = 5.0
"""How often what is in doubt is compared with the orders as they were read."""


def subject(number: str, shipment_id: int) -> str:
    """What an alarm about a shipment is about."""
    return f"{number} shipment {shipment_id}"


@dataclass(slots=True)
class _Call:
    """One call: the rows it tells of, and how the shop is told."""

    rows: list[ShipmentRow]
    parcels: list[Shipment]


@dataclass(slots=True)
class _Moved:
    """Where a call's rows go, with why."""

    accepted: list[int] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    in_doubt: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


class Shipping:
    """The shipment loop of one shop. `turn` makes at most one call."""

    def __init__(self, hub: Hub, shop: Shop) -> None:
        self.hub = hub
        self.shop = shop
        self.trouble = Trouble(hub, shop, "shipments")
        self._recovered = False
        after = max((route.dead_after_seconds for route in shop.capabilities.routes), default=DEAD_AFTER_SECONDS)
        self._dead_us = int(after * 1e6)

    async def turn(self) -> int | None:
        """Settle what the orders tell, then send what is due. Returns when to look again."""
        hub, shop = self.hub, self.shop
        if not shop.capabilities.takes_shipments:
            return None
        now_us = hub.clock.now_us()
        open_us = await hub.store.tx(lambda conn: self._look(conn, now_us))
        if not shop.writes or shop.stopping:
            return open_us
        if self.trouble.until_us > now_us:
            return self.trouble.until_us
        call = await hub.store.tx(lambda conn: self._begin(conn, now_us))
        if call is None:
            return _earliest(open_us, await hub.store.tx(lambda conn: shipments.next_due_us(conn, shop.id)), now_us)
        token = urgency.set(int(Lane.BATCH))
        try:
            await self._send(call)
        except ChannelError as error:
            await self.trouble.met(error)
            return self.trouble.until_us
        finally:
            urgency.reset(token)
        await self.trouble.over()
        return hub.clock.now_us()

    # -- what the orders tell ------------------------------------------------------------------------------------

    def _look(self, conn: Connection, now_us: int) -> int | None:
        """Compare what is open with the orders as they are known; what an earlier life left `sent` is in doubt."""
        if not self._recovered:
            lost = [row.id for row in shipments.live(conn, self.shop.id, ShipmentState.SENT)]
            doubt_us = now_us + self._dead_us
            note = "the daemon stopped during the call"
            shipments.set_state(conn, lost, ShipmentState.IN_DOUBT, now_us, doubt_us=doubt_us, note=note)
            self._recovered = True
        rows = [
            row
            for state in (ShipmentState.IN_DOUBT, ShipmentState.REFUSED)  # many refusals hide no doubt
            for row in shipments.live(conn, self.shop.id, state)
        ]
        if not rows:
            return None
        lines = shipments.lines_of(conn, [row.id for row in rows])
        asked = shipments.asked_us(conn, [row.order_id for row in rows])
        known_us = self._changes_known_us(conn)
        for row in rows:
            self._judge(conn, row, lines.get(row.id, []), max(known_us, asked.get(row.order_id, 0)), now_us)
        return now_us + int(LOOK_SECONDS * 1e6)

    def _changes_known_us(self, conn: Connection) -> int:
        """Up to when every change of an order is known, shown or not: only where orders are found by their change."""
        if self.shop.capabilities.order_filter is not OrderFilter.MODIFIED or not self.shop.facts.reads_orders:
            return 0
        return shops.shop_row(conn, self.shop.id).orders_began_us

    def _judge(
        self, conn: Connection, row: ShipmentRow, lines: Sequence[ParcelLine], known_us: int, now_us: int
    ) -> None:
        """Whether a shipment arrived, as far as the order's state tells."""
        if lines and all(one.arrived for one in lines):
            log.info("shipment_found", shop=self.shop.name, shipment=row.id, was=row.state)
            self._accept(conn, [row], now_us, note="its shop shows it")
            return
        facts = self.shop.facts
        proof_us = row.doubt_us + facts.visibility_us + self.hub.facts.margin_us(self.shop.id)
        if row.state != ShipmentState.IN_DOUBT or not facts.shows_shipments or known_us <= proof_us:
            return
        if any(one.arrived for one in lines):
            self._refuse(conn, {row.id: "its shop shows only some of it as shipped: look there"}, now_us)
            return
        log.info("shipment_lost", shop=self.shop.name, shipment=row.id)
        shipments.set_state(conn, [row.id], ShipmentState.QUEUED, now_us, not_before_us=now_us, note="did not arrive")

    # -- one call ------------------------------------------------------------------------------------------------

    def _begin(self, conn: Connection, now_us: int) -> _Call | None:
        """Choose what to tell and make that durable."""
        rows = shipments.due(conn, self.shop.id, now_us, max(1, self.shop.capabilities.shipment_rows))
        if not rows:
            return None
        ids = [row.id for row in rows]
        inside = shipments.lines_of(conn, ids)
        every = order_rows.load_lines(conn, [row.order_id for row in rows])
        taken = shipments.accepted_units(conn, [line.id for some in every.values() for line in some])
        numbers = shipments.numbers(conn, [row.order_id for row in rows])
        parcels = []
        for row in rows:
            lines = inside.get(row.id, [])
            shown = {line.id: max(line.shop_shipped, taken.get(line.id, 0)) for line in every[row.order_id]}
            for one in lines:
                shown[one.line_id] += one.units
                # Never more than was ordered: where staff entered it at the shop meanwhile, it has arrived by that.
                most = max(1, min(shown[one.line_id], one.ordered))
                shipments.expect(conn, row.id, one.line_id, most)
            rest = {
                _name(one): left
                for one in every[row.order_id]
                if (left := one.ordered - one.cancelled - shown[one.id]) > 0
            }
            parcels.append(_parcel(row, numbers[row.order_id], lines, rest))
        shipments.set_state(conn, ids, ShipmentState.SENT, now_us, note="")
        return _Call(rows, parcels)

    async def _send(self, call: _Call) -> None:
        """Tell the shop and settle. Whatever happens, no row stays `sent` but by a crash."""
        try:
            report = await self.shop.running.send_shipments(call.parcels)
        except (InDoubt, PluginFault) as error:
            await self._settle(call, _Moved(in_doubt=dict.fromkeys((row.id for row in call.rows), str(error))))
            raise
        except CallRefused as error:
            if len(call.rows) > 1:
                await self._settle(call, _Moved(queued=[row.id for row in call.rows]), alone=1)
                return
            await self._settle(call, _Moved(refused={call.rows[0].id: str(error)}))
            return
        except ChannelError:
            await self._settle(call, _Moved(queued=[row.id for row in call.rows]))
            raise
        await self._settle(call, _sorted(call.rows, report))

    async def _settle(self, call: _Call, moved: _Moved, *, alone: int = 0) -> None:
        hub, now_us = self.hub, self.hub.clock.now_us()

        def keep(conn: Connection) -> None:
            by_id = {row.id: row for row in call.rows}
            self._accept(conn, [by_id[one] for one in moved.accepted], now_us)
            self._refuse(conn, moved.refused, now_us)
            for one, why in moved.in_doubt.items():
                doubt_us = now_us + self._dead_us
                shipments.set_state(conn, [one], ShipmentState.IN_DOUBT, now_us, doubt_us=doubt_us, note=why[:512])
            for one in moved.queued:
                tried = by_id[one].attempts + 1
                again_us = now_us if alone else now_us + int(back_off_seconds(tried) * 1e6)
                shipments.set_state(
                    conn, [one], ShipmentState.QUEUED, now_us, attempts=tried, not_before_us=again_us,
                    alone=max(alone, by_id[one].alone),
                )  # fmt: skip

        await hub.store.tx(keep)
        for outcome in ("accepted", "refused", "in_doubt", "queued"):
            hub.metrics.shipments.labels(self.shop.name, outcome).inc(len(getattr(moved, outcome)))

    def _accept(self, conn: Connection, rows: Sequence[ShipmentRow], now_us: int, note: str = "") -> None:
        numbers = shipments.numbers(conn, [row.order_id for row in rows])
        for row in rows:
            shipments.set_state(conn, [row.id], ShipmentState.ACCEPTED, now_us, note=note)
            self.hub.clear_alarm(conn, REFUSED, self.shop, subject(numbers[row.order_id], row.id))

    def _refuse(self, conn: Connection, refused: dict[int, str], now_us: int) -> None:
        for one, why in refused.items():
            row = shipments.by_id(conn, one)
            assert row is not None
            number = shipments.numbers(conn, [row.order_id])[row.order_id]
            shipments.set_state(conn, [one], ShipmentState.REFUSED, now_us, note=why[:512])
            text = f"{self.shop.name} refused the shipment of order {number}: {why}; see: syncd shipments"
            self.hub.raise_alarm(conn, REFUSED, self.shop, subject(number, one), text)


def _name(line: ParcelLine | LineRow) -> str:
    """The shop's own name of a line, also of one that we had to tell apart."""
    return line.line.removesuffix(f"|{line.listing}")


def _parcel(row: ShipmentRow, number: str, lines: Sequence[ParcelLine], rest: dict[str, int]) -> Shipment:
    """A shipment as the channel is told it."""
    return Shipment(
        order=number,
        carrier=Carrier(row.carrier),
        tracking=row.tracking,
        shipped_at=from_us(row.shipped_us),
        lines={} if row.whole and not rest else {_name(one): one.units for one in lines},
        carrier_name=row.carrier_name,
        leaves_open=rest,
    )


def _sorted(rows: Sequence[ShipmentRow], report: WriteReport) -> _Moved:
    """A report by where each row goes. What the shop took in to answer later is in doubt until the order tells."""
    moved = _Moved()
    for one in report.rows:
        row = rows[one.index]
        if isinstance(one, Accepted):
            moved.accepted.append(row.id)
        elif isinstance(one, Rejected):
            moved.refused[row.id] = one.message or str(one.reason)
        elif isinstance(one, Pending):
            moved.in_doubt[row.id] = f"taken in under {one.receipt}: the order will tell"
    named = {one.index for one in report.rows}
    for index, row in enumerate(rows):
        if index not in named and report.unreported is Unreported.UNSURE:
            moved.in_doubt[row.id] = "the shop did not report it"
        elif index not in named:
            moved.queued.append(row.id)
    return moved


def _earliest(first: int | None, second: int | None, now_us: int) -> int | None:
    """The earlier of two times to look again; never at once."""
    times = [one for one in (first, second) if one is not None]
    return max(min(times), now_us + 1_000_000) if times else None
