"""What a channel (モール・カート) is: the class a plugin implements and the values it exchanges with the core.

A plugin's entry point (group `syncd.plugins`) is a module whose pluggy hook `syncd_channels()` returns its
channel classes. Everything that happens on a channel object is awaited, one call at a time per loop; retries,
rate budgets, bisection, circuits, dry run and key expiry belong to the core and never to a plugin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import pluggy

from syncd.clock import Clock
from syncd.model import OrderState
from syncd.sdk.capabilities import Budget as Budget
from syncd.sdk.capabilities import Capabilities as Capabilities
from syncd.sdk.capabilities import Form as Form
from syncd.sdk.capabilities import OrderFilter as OrderFilter
from syncd.sdk.capabilities import Quantity as Quantity
from syncd.sdk.capabilities import ReadFirst as ReadFirst
from syncd.sdk.capabilities import Restock as Restock
from syncd.sdk.capabilities import Scope as Scope
from syncd.sdk.capabilities import WriteRoute as WriteRoute
from syncd.sdk.files import FilesOpener
from syncd.sdk.grants import Grants, MemoryGrants
from syncd.sdk.http import HttpOpener
from syncd.sdk.mail import MailOpener, no_mail
from syncd.sdk.settings import ChannelSettings, ShopSettings

PROJECT = "syncd"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The one hook of a plugin module."""

    @hookspec
    def syncd_channels(self) -> list[type[Channel]]:  # type: ignore[empty-body]  # a hookspec has no body
        """Return the channel classes this module offers. Synchronous, no I/O."""


# --- values -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StockWrite:
    """One row of a write. `quantity` is the new number, or the signed change of a relative form.

    `expected` is the number a compare-and-set demands; None there means a plain set.
    """

    listing: str
    form: Form
    quantity: int
    expected: int | None = None


class Reason(StrEnum):
    """Why a shop refused a row, as far as it decides what happens next."""

    UNKNOWN_LISTING = "unknown_listing"
    STALE = "stale"  # compare-and-set: the shop shows another number
    BELOW_ZERO = "below_zero"  # relative: the result would leave the allowed range
    INVALID = "invalid"
    NOT_WRITABLE = "not_writable"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The shop took the row. `quantity_after` where the answer tells what it shows now."""

    index: int
    quantity_after: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The shop refused the row for certain."""

    index: int
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """The shop took the row in; its result comes later under `receipt` (see `Channel.collect`)."""

    index: int
    receipt: str


class Unreported(StrEnum):
    """What became of rows a report does not name: not applied, or perhaps (read back before the next write)."""

    UNTOUCHED = "untouched"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class WriteReport:
    """The outcome of one write, by index into the rows that were given. An index in none stays queued."""

    rows: tuple[Accepted | Rejected | Pending, ...] = ()
    unreported: Unreported = Unreported.UNTOUCHED

    @classmethod
    def all_accepted(cls, count: int) -> WriteReport:
        return cls(tuple(Accepted(i) for i in range(count)))


Cursor = Mapping[str, Any]
"""Where an order feed stands: the plugin's own JSON-able mapping. None at the very first read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something read that could not be used: an order, a row, a file. It is kept for a person, and alarmed."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """One page of order states.

    `cursor` is stored in the same transaction as the states. `more` asks to be called again at once.
    `seen_until`: every order accepted before that time (the channel's clock) has been shown by now; None
    lets the core take the start of the read that ended with `more = False`, less the visibility bound.
    `acknowledge` is awaited strictly after the commit, and never in dry run: delete, move, mark as read.
    """

    states: tuple[OrderState, ...]
    cursor: Cursor
    more: bool = False
    seen_until: datetime | None = None
    acknowledge: Callable[[], Awaitable[None]] | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ListingInfo:
    """One listing as the shop has it.

    `counted` is False where the shop keeps no stock for it (unlimited, back order). `writable` is False where its
    stock is not ours to write (held in the mall's own warehouse). `problem` is for a person, e.g. a stock record
    without an item.
    """

    key: str
    sku: str = ""
    name: str = ""
    jan: str = ""
    quantity: int | None = None
    counted: bool = True
    writable: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Answer of `check`: the mall's own id of the account, when the key dies, and what a person should know."""

    account: str
    key_expires_at: datetime | None = None
    warnings: tuple[str, ...] = ()


class Carrier(StrEnum):
    """Who carries goods (配送会社). Each channel turns it into its own code; OTHER goes by its name."""

    YAMATO = "yamato"
    SAGAWA = "sagawa"
    JAPAN_POST = "japan_post"
    SEINO = "seino"
    FUKUYAMA = "fukuyama"
    MEITETSU = "meitetsu"
    TONAMI = "tonami"
    SAGAWA_GLOBAL = "sagawa_global"
    ECOHAI = "ecohai"
    DHL = "dhl"
    FEDEX = "fedex"
    UPS = "ups"
    USPS = "usps"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Shipment:
    """Goods of one order that left, in one parcel.

    `lines` gives units per order line as the order's state names it; empty means all that is still unshipped.
    `carrier_name` is what buyers read where the carrier is OTHER. `leaves_open` gives the units per line
    that leave in a later parcel; channels that know only whole orders or destinations wait for the last one with it.
    """

    order: str
    carrier: Carrier
    tracking: str
    shipped_at: datetime
    lines: Mapping[str, int] = field(default_factory=dict)
    carrier_name: str = ""
    leaves_open: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignInPage:
    """Where a person signs in, and what to bring back from there (in plain words)."""

    address: str
    bring_back: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """A push from the shop, untouched. Its signature is over `body` as it is. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Hint:
    """What a webhook says to look at. Never more than a hint: the order or the number is then read.

    `id` is the same on every delivery of one push, where the shop tells one: then repeats are dropped.
    """

    orders: bool = False
    listings: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True, slots=True)
class HintPage:
    """Hints fetched from a queue. `acknowledge` is awaited once they were taken: only then they leave the queue."""

    hints: tuple[Hint, ...] = ()
    acknowledge: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopContext:
    """What the core hands a channel: its seams to time, network and the orders it should look at again.

    `open_orders` yields the numbers of this shop's orders that still hold stock, oldest first: channels
    without a change filter read them again. `http` opens the shop's one client, `files` its file server, `mail` the
    mailbox that its mails come to. `grants` keeps what an authorization server gave us (`sdk/grants.py`).
    """

    shop: str
    clock: Clock
    http: HttpOpener
    files: FilesOpener
    open_orders: Callable[[], Awaitable[Sequence[str]]]
    grants: Grants = field(default_factory=MemoryGrants)
    mail: MailOpener = no_mail


# --- the channel --------------------------------------------------------------------------------------------


class Channel(ABC):
    """One shop on one kind of mall or cart. Built once per shop; `aclose` is its last call."""

    slug: ClassVar[str]
    title: ClassVar[str]
    settings_type: ClassVar[type[ChannelSettings]]

    @abstractmethod
    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        """Keep what is needed. No I/O. Raise ValueError for settings that contradict each other."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this shop can do. Constant over the object's life."""

    @abstractmethod
    async def check(self) -> CheckReport:
        """Prove that the shop can be reached with this key. Called at start and daily. Changes nothing."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        """Return the next states and where the feed stands after them.

        Called every poll interval, and again at once while `more`. The same cursor gives the same states
        again: the core calls with the old cursor after a crash. Overlap freely; the core drops repeats.
        """
        raise NotImplementedError(f"{self.slug} does not read orders")

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        """Write rows in one call of `route` and report by index.

        The body follows from `rows`, `route` and `key` alone. `key` is the idempotency key of this call.
        Raise InDoubt when it was sent and its outcome is unknown.
        """
        raise NotImplementedError(f"{self.slug} does not write stock")

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        """Return the number each listing shows; None where the shop keeps no stock for it.

        A listing the shop does not know is left out. At most `capabilities.read_rows` a call.
        """
        raise NotImplementedError(f"{self.slug} does not read stock")

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        """Return the results of pending receipts that are known by now; the others are asked for again.

        `index` in the answers is ignored.
        """
        raise NotImplementedError(f"{self.slug} has no results that come later")

    def list_listings(self) -> AsyncIterator[ListingInfo]:
        """Yield every listing of the shop."""
        raise NotImplementedError(f"{self.slug} does not list its listings")

    async def send_shipments(self, shipments: Sequence[Shipment]) -> WriteReport:
        """Report shipments, answered by index; at most `capabilities.shipment_rows` a call, one of an order.

        A parcel that the order bears already is accepted, not reported twice. Raise InDoubt when it was sent and its
        outcome is unknown: it is told again only when the order's state does not show it.
        """
        raise NotImplementedError(f"{self.slug} takes no shipments")

    async def sign_in_page(self) -> SignInPage:
        """Return where a person gives us the right to work for this shop. No call is made.

        The object that gave the page gets `sign_in`, so a verifier may be kept in memory; it runs no loop beside.
        """
        raise NotImplementedError(f"{self.slug} needs no sign-in")

    async def sign_in(self, brought_back: str) -> None:
        """Exchange what the person brought back (a code, or the whole address it stands in) and keep the grant.

        Raises ValueError when it is not what was asked for, SignInRequired when the channel refuses it.
        """
        raise NotImplementedError(f"{self.slug} needs no sign-in")

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        """Set options named in `capabilities.listing_options`; an empty text takes one away.

        Raises ValueError for a value the channel does not allow; the text names it.
        """
        raise NotImplementedError(f"{self.slug} has no listing options")

    async def register_webhooks(self, address: str) -> None:
        """Have the shop push to that address; called at start and daily, so a deleted subscription comes back.

        What is registered already stays; ours at another address is taken away. Where a person registers it in the
        shop's own pages, leave this as it is.
        """
        raise NotImplementedError(f"{self.slug} publishes no webhooks")

    async def receive(self, webhook: Webhook) -> Hint:
        """Verify a push and say what to read. Raise ValueError when its signature does not hold. No call is made."""
        raise NotImplementedError(f"{self.slug} publishes no webhooks")

    async def listen(self) -> HintPage:
        """Wait for hints, at most half a minute, and return them. Called again and again, never in dry run.

        What is wanted for them (a subscription) is looked after here, too, so that a deleted one comes back. Raising
        costs the shop its hints only: it is polled on.
        """
        raise NotImplementedError(f"{self.slug} has no queue of hints")

    async def aclose(self) -> None:  # noqa: B027  # most channels have nothing to release
        """Release what was opened. Called once, also after a failed check."""
