"""The words of syncd as frozen values: orders as states, counts, stock and lanes.

Standard library only, no I/O. Times are aware `datetime`s at the edges (sdk) and whole microseconds since
the epoch, named `…_us`, inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000


def to_us(moment: datetime) -> int:
    """Whole microseconds since the epoch of an aware time. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment.isoformat()}")
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(moment_us: int) -> datetime:
    """The aware UTC time of whole microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=moment_us)


class Lane(IntEnum):
    """Where a push waits (反映待ち): a stockout jumps ahead, low stock next; a full sync (一括同期) gives way."""

    STOCKOUT = 0
    LOW = 1
    BATCH = 2
    BACKGROUND = 3


class Source(IntEnum):
    """Where an order state came from; the stronger source replaces the weaker one's lines as a whole.

    STAFF: no channel shows it, a person recorded it here (a hold).
    """

    STAFF = 0
    MAIL = 1
    FILE = 2
    API = 3


class ListingState(StrEnum):
    """What a listing (出品) is to us.

    OURS: we write its stock. SKIP: not ours to write. NOT_COUNTED: the shop keeps no stock for it.
    GONE: the shop no longer knows it; orders for it are still booked.
    """

    OURS = "ours"
    SKIP = "skip"
    NOT_COUNTED = "not_counted"
    GONE = "gone"


class EntryKind(StrEnum):
    """Why a line of the ledger (在庫変動) exists."""

    ORDER = "order"
    OPENING = "opening"  # 開始在庫
    COUNT = "count"  # 棚卸
    ADJUST = "adjust"
    REBOOK = "rebook"


class Returns(StrEnum):
    """What returned goods do to the stock of a shop's orders: back on the shelf, never, or when a person says so."""

    BACK = "back"
    NEVER = "never"
    INSPECT = "inspect"


class ReturnReason(StrEnum):
    """Why goods came back (返品理由), where a channel tells it."""

    REFUSED = "refused"  # 受取拒否: the parcel came back unopened
    SENT_BACK = "sent_back"  # the buyer returned it after receipt
    DAMAGED = "damaged"  # damaged, or another article than ordered
    OTHER = "other"


class ShipmentState(StrEnum):
    """Where a shipment (出荷) booked here stands with its shop. See daemon/shipping.py for what leads where."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    NOT_SENT = "not_sent"  # booked here only: the shop takes none, or is not written
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one order line, in units of its listing. Each only says how many, never when."""

    ordered: int = 0
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0

    @property
    def held(self) -> int:
        """Units still held: ordered − cancelled − shipped, never below 0."""
        return max(0, self.ordered - self.cancelled - self.shipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """One line of an order as its channel shows it now, in units of the listing (before pack size).

    `line` is stable within the order. `restocked` says how many of the cancelled or returned units the
    shop itself put back on sale; None where the channel does not tell (its `Capabilities` decide then).
    `return_reason` is why the returned units came back, where it tells.
    """

    line: str
    listing: str
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    restocked: int | None = None
    location: str | None = None
    return_reason: ReturnReason | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.ordered, self.cancelled, self.shipped, self.returned)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """One order as its channel shows it now (受注): a state, never an event.

    `as_of` is the channel's own version or update time; None lets the core use the start of the request
    that read it. `complete` promises that every line is here: only then does a missing line mean 0.
    `placed_at` is when the shop accepted it. `shipment_opened` moves what it holds from *ordered* to
    *allocated*. `shipped_at` is when it left, where the channel tells. No buyer data, ever.
    `label` says for reports what kind of order it is. `ends_hold` names the hold (取り置き) whose place it takes,
    e.g. an auction's id: its units are taken off that hold when it is booked first.
    """

    number: str
    lines: tuple[LineState, ...]
    as_of: datetime | None = None
    complete: bool = True
    placed_at: datetime | None = None
    shipment_opened: bool = False
    shipped_at: datetime | None = None
    source: Source = Source.API
    label: str = ""
    ends_hold: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """Stock of one SKU at one or more locations, in pieces."""

    on_hand: int = 0  # 実在庫
    ordered: int = 0  # 受注済
    allocated: int = 0  # 引当済

    @property
    def deliverable(self) -> int:
        """配送可在庫: on hand − allocated."""
        return self.on_hand - self.allocated

    @property
    def free(self) -> int:
        """フリー在庫: deliverable − ordered. Negative means oversold (売り越し); never clamped."""
        return self.on_hand - self.allocated - self.ordered

    def __add__(self, other: Balance) -> Balance:
        return Balance(self.on_hand + other.on_hand, self.ordered + other.ordered, self.allocated + other.allocated)


@dataclass(frozen=True, slots=True)
class Sku:
    """A sellable thing by the merchant's own key (商品コード); `parts` (SKU -> pieces) makes it a bundle."""

    code: str
    name: str = ""
    parts: Mapping[str, int] = field(default_factory=dict)
