"""What stands in the lists of the admin API about shops and the daemon's own work; see `rows`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from syncd.web.rows import LANE, Moment


class WaitingChanges(BaseModel):
    """Changes that wait, by lane."""

    stockout: int
    low: int
    batch: int
    background: int


class ShopRow(BaseModel):
    """A shop and how it stands. Of one whose file is broken only name, channel and status are told."""

    name: str
    channel: str | None
    status: str
    status_text: str
    orders: str | None = None
    writes: str | None = None
    started: bool = False
    paused: bool = False
    last_order_read: Moment = None
    last_write: Moment = None
    oldest_push: Moment = None
    oldest_doubt: Moment = None
    lag_seconds: float | None = None
    outbox: WaitingChanges | None = None
    doubts: int = 0
    held: int = 0
    unbooked_lines: int = 0
    unknown_exposures: int = 0
    limbo_exposures: int = 0
    open_intents: int = 0
    drift: int = 0


class PluginRow(BaseModel):
    """A plugin that was found."""

    entry_point: str
    module: str
    channel: str
    status: str
    error: str


class OutboxRow(BaseModel):
    """A change that waits for its shop."""

    id: int
    shop: str
    listing_id: int
    key: str
    name: str
    sku: str | None
    target: int | None
    believed: int | None
    held: str
    doubt_until: Moment
    lane: str = Field(json_schema_extra=LANE)
    due_at: Moment
    since_at: Moment
    not_before_at: Moment
    attempts: int
    alone: bool


class SentRow(BaseModel):
    """One row of a call, as it was sent."""

    key: str
    position: int
    form: str
    quantity: int
    expected: int | None
    target: int
    delta: int
    unread: int
    sold_old: int
    sold_new: int
    restocked: int
    cost: int
    alone: bool
    live: bool
    receipt: str | None


class IntentRow(BaseModel):
    """A call to a shop that is not settled."""

    id: int
    shop: str
    route: str
    key: str
    began_at: datetime
    dead_at: datetime
    state: str
    note: str
    rows: list[SentRow]


class AlarmRow(BaseModel):
    """An alarm; `times`: how often it was raised before it was cleared."""

    id: int
    kind: str
    shop: str | None
    subject: str
    text: str
    raised_at: datetime
    last_at: datetime
    times: int
    cleared_at: Moment


class AuditRow(BaseModel):
    """Who changed what; `detail` is JSON as a text."""

    id: int
    at: datetime
    who: str
    action: str
    detail: str
