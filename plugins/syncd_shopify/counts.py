"""The counts of one order line from what Shopify says of it.

Not confirmed by Shopify's documents: whether `unfulfilledQuantity` still counts units refunded before shipping. The
fact sheet's rule, held = min(unfulfilledQuantity, currentQuantity), is right in both cases for a line that was
never shipped in part; with the units of the fulfillments both cases are told apart and the rest is exact too.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncd.model import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """One line as Shopify shows it. Refunded units by what the refund says happened to the goods.

    `refunded_unshipped`: restockType CANCEL. `refunded_returned`: RETURN. `refunded_open`: NO_RESTOCK and
    LEGACY_RESTOCK, which do not say whether the goods had been shipped. `restocked`: units that came back on sale
    at our location.
    """

    quantity: int
    current: int
    unfulfilled: int
    fulfilled: int = 0
    refunded_unshipped: int = 0
    refunded_returned: int = 0
    refunded_open: int = 0
    restocked: int = 0
    order_cancelled: bool = False


def read_counts(line: LineFacts) -> tuple[Counts, int | None]:
    """The counts of a line, and the units that the shop put back on sale (None where it does not tell).

    Never holds more than min(unfulfilledQuantity, currentQuantity), and nothing of a cancelled order. Units
    refunded without a word on the goods count as never shipped only where more were removed than were shipped.
    """
    shipped = max(0, min(line.fulfilled, line.quantity - line.unfulfilled))
    if line.order_cancelled:
        # A cancelled order shows no unit that can still be shipped; what the fulfillments do not hold never left.
        shipped = max(0, min(line.fulfilled, line.quantity))
        cancelled = line.quantity - shipped
    elif line.unfulfilled + shipped < line.quantity:
        # unfulfilledQuantity leaves removed units out: it is what is still held.
        held = max(0, min(line.unfulfilled, line.current))
        removed = max(0, line.quantity - line.current - line.refunded_returned)
        cancelled = min(line.quantity - shipped - held, removed)
        shipped = line.quantity - held - cancelled
    else:
        cancelled = _removed_unshipped(line, shipped)
    counts = Counts(line.quantity, cancelled, shipped, min(line.refunded_returned, shipped))
    return counts, _restocked(line, cancelled)


def _removed_unshipped(line: LineFacts, shipped: int) -> int:
    """Units removed before shipping where `unfulfilledQuantity` still counts them."""
    removed = max(0, line.quantity - line.current)
    told = removed - line.refunded_returned - line.refunded_open
    return min(line.quantity - shipped, max(0, told, removed - shipped))


def _restocked(line: LineFacts, cancelled: int) -> int | None:
    """An order edit may restock without a refund that says so: then nobody knows."""
    explained = line.refunded_unshipped + line.refunded_open
    return None if cancelled > explained else line.restocked
