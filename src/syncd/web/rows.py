"""What stands in the lists of the admin API, as the OpenAPI document tells it: one class a kind of row.

The rows are made by `shapes.public` and are not run through these classes: a row that strays must not cost an operator
the answer. A test holds every list against its schema instead.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field
from pydantic.config import JsonDict

from syncd.core.escrow import Standing
from syncd.model import Lane, ListingState, ShipmentState, Source

T = TypeVar("T")
Moment = datetime | None
LANE: JsonDict = {"enum": [lane.name.lower() for lane in Lane]}
LANE_OR_NONE: JsonDict = {"enum": [*(lane.name.lower() for lane in Lane), None]}
SOURCE: JsonDict = {"enum": [source.name.lower() for source in Source]}


class PageOf(BaseModel, Generic[T]):
    """Some rows, and where the next ones begin; null at the end."""

    items: list[T]
    next: int | None = None


def listed(row: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """For `responses` of a route: a page of such rows."""
    return {200: {"model": PageOf[row], "description": "A page of rows"}}  # type: ignore[valid-type]  # a class


class StockNumbers(BaseModel):
    """Pieces (在庫): on hand, held by orders, and what is left of them; free may be below zero (売り越し)."""

    on_hand: int
    ordered: int
    allocated: int
    deliverable: int
    free: int


class SkuRow(StockNumbers):
    """A SKU over all locations; a bundle with its parts."""

    id: int
    code: str
    name: str
    bundle: bool
    parts: dict[str, int] = Field(description="SKU -> pieces of it in one of this.")
    part_of: dict[str, int] = Field(description="Bundle -> pieces of this in it.")


class StockRow(StockNumbers):
    """A SKU at one location; location null where it never had stock."""

    sku: str
    name: str
    location: str | None
    parts: dict[str, int] = Field({}, description="Of a bundle only.")
    opened_at: Moment = None
    counted_at: Moment = None


class RuleRow(BaseModel):
    """A rule of the chain; shop or SKU null: for all."""

    rule: str
    shop: str | None
    sku: str | None
    value: int


class EntryRow(BaseModel):
    """One line of the ledger (在庫変動): what changed, why, by whom or by which order."""

    id: int
    at: datetime
    kind: str
    sku: str
    location: str
    on_hand: int
    ordered: int
    allocated: int
    booking: int
    key: str | None
    who: str
    note: str
    shop: str | None
    order: str | None
    line: str | None


class ListingRow(BaseModel):
    """A listing (出品): what it must show, is believed to show, was last told, and can still sell (exposure)."""

    id: int
    shop: str
    key: str
    sku: str | None
    pack: int
    state: ListingState
    sync: bool
    name: str
    jan: str
    target: int | None
    believed: int | None
    base_at: Moment
    base_from_at: Moment
    unread: int
    seen: int | None
    seen_at: Moment
    seen_from_at: Moment
    seen_slack: int
    verify: bool
    doubt_until: Moment
    exposure: int | None
    calls: int
    lost_at: Moment
    back: int
    proven: int | None
    proven_from_at: Moment
    proven_at: Moment
    proven_sold: int
    proven_vague: int
    proven_back: int
    proven_by_read: int
    demand_at: Moment
    demand_short: float
    demand_middle: float
    demand_day: float
    demand_largest: float
    held: str
    told: int | None
    told_at: Moment
    error: str
    error_at: Moment
    lane: str | None = Field(description="Null where nothing waits.", json_schema_extra=LANE_OR_NONE)
    due_at: Moment
    since_at: Moment
    attempts: int | None
    not_before_at: Moment


class OrderLineRow(BaseModel):
    """A line with its counts, and what of it is booked (`b_…`); `pieces` of one unit are frozen at its booking."""

    line: str
    listing: str
    ordered: int
    cancelled: int
    shipped: int
    returned: int
    restocked: int | None
    return_reason: str
    booked: bool
    pieces: dict[str, int]
    location: str | None
    booking: int
    b_held: int
    b_allocated: int
    b_gone: int
    b_restocked: int
    b_units: int
    ignored: int
    own_shipped: int
    shop_shipped: int
    accepted_back: int
    rejected_back: int


class OrderRow(BaseModel):
    """An order with its lines; a hold is one of source `staff`."""

    id: int
    shop: str
    number: str
    placed_at: Moment
    as_of_at: Moment
    source: str = Field(json_schema_extra=SOURCE)
    opened: bool
    open: bool
    shipped_at: Moment
    first_at: datetime
    seen_at: datetime
    asked_at: Moment
    label: str
    ends_hold: str
    lines: list[OrderLineRow]


class ShortRow(BaseModel):
    """An order line that cannot get so many pieces of a SKU."""

    id: int
    shop: str
    number: str
    placed_at: Moment
    line: str
    sku: str
    pieces: int


class HoldRow(BaseModel):
    """Units put aside (取り置き) for a listing that its shop counts apart."""

    id: int
    shop: str
    hold: str
    listing: str
    offered: int
    won: int
    open: bool
    first_at: datetime
    seen_at: datetime


class ParcelLine(BaseModel):
    """So many units of an order line in a parcel."""

    line: str
    listing: str
    units: int


class ShipmentRow(BaseModel):
    """A parcel that left, and where it stands with its shop."""

    id: int
    shop: str
    order: str
    carrier: str
    carrier_name: str
    tracking: str
    shipped_at: Moment
    state: ShipmentState
    note: str
    attempts: int
    not_before_at: Moment
    doubt_until: Moment
    created_at: datetime
    changed_at: datetime
    who: str
    lines: list[ParcelLine]


class ReturnRow(BaseModel):
    """Returned units that wait for a person."""

    id: int
    shop: str
    order: str
    line: str
    listing: str
    shipped: int
    returned: int
    accepted: int
    rejected: int
    reason: str
    units: int


class PolicyListing(BaseModel):
    """A listing that sells the SKU, with its share of it (在庫配分) and what it can still sell."""

    shop: str
    listing: str
    pieces: int
    target: int | None
    believed: int | None
    share: int | None
    exposure: int | None
    standing: Standing
    waits_for: str


class PolicyRow(BaseModel):
    """How a SKU is shown; a bundle has `parts` with their modes instead of what follows them here."""

    sku: str
    policy: str
    scope: str
    sale_from: Moment
    sale_until: Moment
    parts: dict[str, str] = {}
    mode: str = ""
    since: Moment = None
    in_sale: bool = False
    unseen: float = 0.0
    reserve: int = 0
    free: int | None = None
    rights_left: int | None = None
    guaranteed: bool | None = None
    reasons: list[str] = []
    listings: list[PolicyListing] = []


class PolicyPage(PageOf[PolicyRow]):
    """How SKUs are shown; what holds where nothing is said; under which conditions escrow never oversells."""

    usual: dict[str, Any]
    conditions: list[str]


class DifferenceRow(BaseModel):
    """A listing that shows another number than it must, and how that number comes about."""

    shop: str
    listing: str
    sku: str | None
    shows: int | None
    would_show: int
    why: str


class Differences(BaseModel):
    """What every listing would show that shows something else; `more` where there are too many for one answer."""

    changes: list[DifferenceRow]
    more: bool = False
    listings: int = Field(0, description="How many were compared.")


class ProposalRow(BaseModel):
    """A listing of a shop and the SKU it seems to be; `candidates` where several could be it."""

    listing: str
    name: str
    shop_sku: str
    jan: str
    shows: int | None
    known: bool
    state: ListingState
    match: str
    sku: str | None
    pack: int
    candidates: list[str]
    problem: str


class ProposalsOut(BaseModel):
    """What a shop lists and which SKU each listing seems to be; what was taken over, and what is left to a person."""

    proposals: list[ProposalRow]
    changes: list[dict[str, Any]]
    applied: bool
    skipped: list[dict[str, Any]]
    notes: list[str]
    braked: list[str]
