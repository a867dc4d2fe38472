"""Whether zero overselling of a SKU in escrow can be guaranteed now, and if not, why: rows in, reasons out.

The rules R1-R12 (`core/escrow.py`) hold as long as four conditions do; those cannot be seen from here and are told with
every guarantee. What can be seen is checked for each listing that sells the SKU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncd.core.escrow import Standing
from syncd.daemon.facts import Facts, ShopFacts, exposure_of
from syncd.daemon.findings import LOWERED
from syncd.model import ListingState, from_us
from syncd.sdk.channel import Form
from syncd.sdk.settings import Writes
from syncd.store.listings import ListingRow
from syncd.store.shops import ShopRow


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one listing breaks the guarantee; the text names shop and listing."""

    shop: str
    listing: str
    text: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands beside the listings: their shops' rows, and units on order lines not booked, by listing."""

    shops: Mapping[int, ShopRow]
    unbooked: Mapping[int, int]
    now_us: int


def reasons(facts: Facts, rows: Sequence[ListingRow], beside: Surroundings) -> list[Reason]:
    """Why a SKU that these listings sell cannot be guaranteed; none where it can, as far as it can be seen."""
    found: list[Reason] = []
    for row in rows:
        at = beside.shops[row.shop_id]
        shop = facts.shops.get(row.shop_id)
        texts = [f"{at.name} is not loaded"] if shop is None else _of_listing(facts, shop, at, row, beside)
        found += [Reason(at.name, row.key, f"{at.name} {row.key}: {text}") for text in texts]
    return found


def draining(
    facts: Facts, rows: Sequence[tuple[ListingRow, int]], free: int, since_us: int, now_us: int
) -> list[Reason]:
    """Why a SKU in escrow is not guaranteed yet: its listings can still sell more than there is, and are taken down.

    `rows`: what sells it, with the pieces of one unit. So it is after the SKU went into escrow (for a sale: before it
    begins) and after free stock fell by other causes than an order.
    """
    known = [
        (row, max(0, row.exposure) * pieces) for row, pieces in rows if row.exposure and row.shop_id in facts.shops
    ]
    over = sum(units for _, units in known) - max(0, free)
    if over <= 0:
        return []
    names = ", ".join(f"{facts.shops[row.shop_id].name} {row.key}" for row, units in known if units)
    until_us = since_us + facts.drain_us()
    by = f"by {_at(until_us)}" if until_us > now_us else f"which takes up to {facts.drain_us() / 1e6:.0f} s"
    text = f"not yet: draining, {by}; until then {over} pieces more can be sold than there are: {names}"
    return [Reason("", "", text)]


def _of_listing(facts: Facts, shop: ShopFacts, at: ShopRow, row: ListingRow, beside: Surroundings) -> Iterator[str]:
    yield from _not_written(shop, row)
    yield from _not_read(facts, shop, at, beside.now_us)
    if row.exposure is None:
        yield "what it can still sell is not known until it is read and proven"
    elif row.exposure < 0:
        yield f"it sold {-row.exposure} more than it was given: somebody raised it, or it sells what it does not show"
    if row.held.startswith(LOWERED):
        yield f"{row.held}, waits for a person: syncd approve {shop.name} {row.key}"
    if units := beside.unbooked.get(row.id, 0):
        yield f"{units} ordered units are not booked; see: syncd alarms"


def _not_written(shop: ShopFacts, row: ListingRow) -> Iterator[str]:
    """It sells the SKU, and shows what we do not say."""
    if row.state != ListingState.OURS:
        yield f"it sells on its own: its state is {row.state}"
    elif not row.sync:
        yield "it sells on its own: sync is off for it"
    elif shop.writes is Writes.OFF:
        yield "it sells on its own: writes are off for the shop"
    elif shop.writes is Writes.DRY_RUN:
        yield f"it sells on its own: the shop is in dry run; syncd shops start {shop.name}"


def _not_read(facts: Facts, shop: ShopFacts, at: ShopRow, now_us: int) -> Iterator[str]:
    """Its sales reach us late, or never."""
    if not shop.reads_orders or not at.watermark_us:
        yield "orders of the shop are not taken in" + ("" if not shop.reads_orders else " yet: none was ever read")
        if shop.forms <= {Form.ABSOLUTE} and not shop.reads_stock:
            yield "the shop takes absolute numbers only, and neither its stock nor its orders tell what it sold"
    elif facts.feed_is_stale(shop, now_us):  # R12
        read_us = facts.read_us.get(shop.id, 0)
        yield f"orders of the shop were not read since {_at(read_us)}" if read_us else "orders of the shop are not read"


CONDITIONS = (
    "each channel sells only what it shows",
    "nobody else raises a number on a mall",
    "orders show up and writes land within their time",
    "counted stock is real",
)


def conditions(facts: Facts) -> list[str]:
    """The four conditions of the guarantee, the third with the times of each shop."""
    times = "; ".join(
        f"{shop.name}: orders {shop.visibility_us / 1e6:g} s, writes {shop.dead_after_us / 1e6:g} s"
        for shop in sorted(facts.shops.values(), key=lambda one: one.name)
    )
    first, second, third, fourth = CONDITIONS
    return [f"(i) {first}", f"(ii) {second}", f"(iii) {third}" + (f" ({times})" if times else ""), f"(iv) {fourth}"]


def waits_for(shop: ShopFacts | None, row: ListingRow) -> str:
    """What a listing's exposure waits for until it is settled; empty where it is."""
    have = exposure_of(row)
    match have.standing:
        case Standing.SENT:
            return "the answer to a write under way"
        case Standing.LIMBO:
            return f"a read after {_at(have.dead_us or 0)}, when a lost write can land no more"
        case Standing.WAIT_BARRIER | Standing.READ_BACK:
            return f"its shop's orders up to {_at(have.proven_us)}"
        case Standing.UNKNOWN:
            return "a read of its number" if shop is not None and shop.reads_stock else "a write of 0"
    return ""


def _at(moment_us: int) -> str:
    return from_us(moment_us).isoformat(timespec="seconds")
