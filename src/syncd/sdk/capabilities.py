"""What a channel can do, as data: the core decides by it, and it chooses which contract tests apply."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Quantity(StrEnum):
    """What the shop's number means: sellable, or on hand with the shop taking its own open orders off."""

    AVAILABLE = "available"
    ON_HAND = "on_hand"


class Form(StrEnum):
    """How a write changes the shop's number (classes a1, a2, a3, b, c of no-oversell theory)."""

    ABSOLUTE = "absolute"
    RELATIVE_REFUSES = "relative_refuses"
    RELATIVE_CLAMPS = "relative_clamps"
    RELATIVE_SILENT = "relative_silent"
    COMPARE_AND_SET = "compare_and_set"

    @property
    def is_relative(self) -> bool:
        return self in (Form.RELATIVE_REFUSES, Form.RELATIVE_CLAMPS, Form.RELATIVE_SILENT)


class OrderFilter(StrEnum):
    """How orders are found: by creation time only, by change time, in files, in mails."""

    CREATED = "created"
    MODIFIED = "modified"
    FILE = "file"
    MAIL = "mail"


class Restock(StrEnum):
    """Whether the shop puts cancelled units back on sale by itself. UNKNOWN is treated as the worse case."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class ReadFirst(StrEnum):
    """What is read right before a number above 0 leaves by a route: the shop's own numbers, or only its orders,
    where a route takes more rows than can be read in time. Means nothing where the shop's stock cannot be read.
    """

    STOCK = "stock"
    ORDERS = "orders"


class Scope(StrEnum):
    """Who shares a budget: one shop, every shop of one account, every shop of one application ID."""

    SHOP = "shop"
    ACCOUNT = "account"
    APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class Budget:
    """A documented rate: `per_second` units (calls or points) with `burst` at once, over named operations.

    `margin` is the share the core may use: 1.0 where excess is only answered with a wait, less where the
    channel punishes it. `shared_as` names the sharers when the scope is wider than one shop.
    `window_seconds` > 0: the shop counts a sliding window, at most `burst` units in any so many seconds; `per_second`
    is then what that comes to.
    """

    name: str
    operations: frozenset[str]
    per_second: float
    burst: float = 1.0
    margin: float = 1.0
    scope: Scope = Scope.SHOP
    shared_as: str = ""
    window_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WriteRoute:
    """One way to write stock.

    `operation` is the budget's name of its call. `dead_after_seconds` is the longest a call may still take
    effect after we gave it up. `key_life_seconds` > 0 promises that the very same rows under the same key
    are applied once within that life. `later` says results come by `collect`; `results_within_seconds` is the longest
    one may take (0: `dead_after_seconds`), after which the call is in doubt, alarmed and read back. `settle_seconds` is
    what a call usually needs after it was sent until its rows show: routes are compared by when they finish.
    """

    name: str
    operation: str
    forms: frozenset[Form]
    max_rows: int
    dead_after_seconds: float = 60.0
    key_life_seconds: float = 0.0
    later: bool = False
    cost_per_call: float = 1.0
    cost_per_row: float = 0.0
    settle_seconds: float = 0.0
    read_first: ReadFirst = ReadFirst.STOCK
    results_within_seconds: float = 0.0

    @property
    def longest_wait_seconds(self) -> float:
        """How long a result by `collect` is waited for."""
        return self.results_within_seconds or self.dead_after_seconds

    def cost(self, rows: int) -> float:
        """Units of the budget that one call of so many rows takes."""
        return self.cost_per_call + self.cost_per_row * rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can do, as its documents prove it; what is not confirmed is declared as the worse case.

    `visibility_seconds`: the longest until an accepted order can be read. `listing_case_sensitive`: False where the
    shop folds listing keys to lower case. `webhook_reply`: the XML that a shop wants in answer to a push that was
    taken. `listens`: hints are fetched by `listen`. `shipment_rows`: shipments a call.
    `listing_options`: names of what staff may set on a listing beside its stock, e.g. `lead_time_days`. `signs_in`: a
    person signs in on a page of the channel (OAuth) before the first call, and again when the grant ends.
    """

    quantity: Quantity = Quantity.AVAILABLE
    routes: tuple[WriteRoute, ...] = ()
    budgets: tuple[Budget, ...] = ()
    order_filter: OrderFilter = OrderFilter.MODIFIED
    visibility_seconds: float = 60.0
    poll_seconds: float = 60.0
    shows_cancels: bool = True
    shows_shipments: bool = True
    restocks_on_cancel: Restock = Restock.UNKNOWN
    reads_orders: bool = True
    reads_stock: bool = False
    read_rows: int = 100
    read_operation: str = ""
    publishes_webhooks: bool = False
    webhook_reply: str = ""
    listens: bool = False
    takes_shipments: bool = False
    shipment_rows: int = 1
    lists_listings: bool = False
    listing_options: frozenset[str] = frozenset()
    signs_in: bool = False
    max_quantity: int = 99_999
    listing_case_sensitive: bool = True
