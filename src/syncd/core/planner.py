"""What number a listing must show (the rule chain), in which lane it travels, and by which write it may go now.

The nine steps, as users of such systems expect them (each explained by `syncd why`):

    1 on hand over the shop's locations      4 bundles: the least of its parts     7 below the floor -> 0
    2 − allocated − ordered = free           5 × share %, rounded down             8 at most the cap
    3 − hold-back                            6 ÷ pack size, rounded down           9 never negative
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from syncd.core.fence import Shown
from syncd.core.values import value
from syncd.model import Balance, Lane
from syncd.sdk.channel import Form, StockWrite

READ_IS_FRESH_US = 1_500_000
"""Longest from the begin of a read to the plan of the write it allows: under the 2 s of promise 4."""
READ_HOLDS_US = 1_900_000
"""Longest from the begin of a read until that write leaves."""


class Rule(StrEnum):
    """The steps of the chain an operator can set, by scope default < shop < SKU < shop × SKU."""

    HOLD_BACK = "hold_back"  # 予備在庫, pieces
    SHARE = "share"  # percent
    FLOOR = "floor"
    CAP = "cap"  # 表示上限
    POLICY = "policy"  # 連動方式, its place in POLICIES
    RESERVE = "reserve"  # pieces a mirrored SKU keeps back
    SALE_FROM = "sale_from"  # microseconds since the epoch
    SALE_UNTIL = "sale_until"


CHAIN = (Rule.HOLD_BACK, Rule.SHARE, Rule.FLOOR, Rule.CAP)
POLICIES = ("auto", "mirror", "escrow")

RULE_LIMITS: Mapping[Rule, tuple[int, int]] = {
    Rule.HOLD_BACK: (-1_000_000, 1_000_000),
    Rule.SHARE: (0, 100),
    Rule.FLOOR: (0, 1_000_000),
    Rule.CAP: (0, 1_000_000),
    Rule.POLICY: (0, len(POLICIES) - 1),
    Rule.RESERVE: (0, 1_000_000),
    Rule.SALE_FROM: (0, 2**53),
    Rule.SALE_UNTIL: (0, 2**53),
}
RuleTable = Mapping[tuple[str, int, int], int]
"""(rule, shop or 0, SKU or 0) -> value."""


def rule_of(table: RuleTable, rule: Rule, shop: int, sku: int) -> int | None:
    """The narrowest value that is set: shop × SKU, then SKU, then shop, then default."""
    if not table:  # most shops set none, and this is asked several times for each listing
        return None
    for scope in ((shop, sku), (0, sku), (shop, 0), (0, 0)):
        value = table.get((rule, *scope))
        if value is not None:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the chain as `why` shows it: its name, the number after it, and the setting that made it."""

    name: str
    number: int
    setting: str = ""


Explain = Callable[[str, int, str], None]


def silent(name: str, number: int, setting: str) -> None:
    """Explain nothing."""


def none_kept(_sku: int) -> int:
    """No policy keeps anything back."""
    return 0


def sellable(
    sku: int,
    shop: int,
    balance_of: Callable[[int], Balance],
    parts: Mapping[int, Mapping[int, int]],
    rules: RuleTable,
    explain: Explain = silent,
    reserve_of: Callable[[int], int] = none_kept,
) -> int:
    """Steps 1-4: sellable pieces of a SKU. May be negative. `reserve_of`: what its policy keeps back, too.

    A bundle's own hold-back counts only where it is set for that very SKU; the wider scopes have already
    been taken off its parts.
    """
    inside = parts.get(sku)
    if not inside:
        balance = balance_of(sku)
        explain("on hand", balance.on_hand, "")
        explain("free", balance.free, f"− {balance.allocated} allocated − {balance.ordered} ordered")
        kept = rule_of(rules, Rule.HOLD_BACK, shop, sku) or 0
        if kept:
            explain("hold-back", balance.free - kept, f"− {kept}")
        reserve = reserve_of(sku)
        if reserve:
            explain("reserve", balance.free - kept - reserve, f"− {reserve} by policy, for sales not yet read")
        return balance.free - kept - reserve
    number = min(
        sellable(part, shop, balance_of, parts, rules, silent, reserve_of) // each for part, each in inside.items()
    )
    explain("bundle", number, f"least of {len(inside)} parts")
    own = rules.get((Rule.HOLD_BACK, shop, sku), rules.get((Rule.HOLD_BACK, 0, sku), 0))
    if own:
        explain("hold-back", number - own, f"− {own}")
    return number - own


def finish(number: int, sku: int, shop: int, pack: int, most: int, rules: RuleTable, explain: Explain = silent) -> int:
    """Steps 5-9: what the listing shows of so many sellable pieces. `most` is the channel's own limit."""
    share = rule_of(rules, Rule.SHARE, shop, sku)
    if share is not None and share != 100:
        number = number * share // 100
        explain("share", number, f"× {share} %")
    if pack != 1:
        number //= pack
        explain("pack size", number, f"÷ {pack}")
    floor = rule_of(rules, Rule.FLOOR, shop, sku)
    if floor and number < floor:
        number = 0
        explain("floor", number, f"below {floor}")
    cap = rule_of(rules, Rule.CAP, shop, sku)
    cap = most if cap is None else min(cap, most)
    if number > cap:
        number = cap
        explain("cap", number, f"at most {cap}")
    if number < 0:
        number = 0
        explain("never negative", number, "")
    return number


def lane_of(target: int, before: int | None, shown: Shown, *, jumps: bool = False) -> Lane:
    """A listing that must go to 0 and shows more, or did until now, jumps ahead; the rest rides in the batch.

    `jumps`: its policy has low stock jump, too.
    """
    sold_out = target == 0 and (shown.in_doubt or (bool(before) if shown.believed is None else shown.believed > 0))
    if sold_out:
        return Lane.STOCKOUT
    return Lane.LOW if jumps else Lane.BATCH


def needs_push(target: int | None, shown: Shown) -> bool:
    """Whether the shop is believed to show another number, or nobody knows what it shows."""
    if target is None:
        return False
    return shown.in_doubt or shown.believed != target


def next_tick_us(now_us: int, every_us: int) -> int:
    """The batch turn a change made now rides on: aligned to whole multiples of the interval since the epoch."""
    return (now_us // every_us + 1) * every_us


# --- by which write -------------------------------------------------------------------------------------------


class Need(StrEnum):
    """Why a row cannot be written this moment."""

    NOTHING = "nothing"  # the shop shows it already
    STOCK_READ = "stock_read"
    ORDER_READ = "order_read"
    DOUBT = "doubt"  # an earlier write is unresolved
    NO_FORM = "no_form"  # the channel has no write for it
    RIGHTS = "rights"  # in escrow: other listings hold the pieces, until that is proven otherwise


@value
class Plan:
    """A row ready to be written: the write, how it moves the number, the unread units it leaves, its ceiling."""

    write: StockWrite
    delta: int = 0
    unread: int = 0
    fenced: bool = False


@value
class Evidence:
    """What has been read of a shop for one row.

    `number` and `number_began_us`: a stock read of this listing. `orders_began_us`: begin of the newest whole
    order read. `reads_stock`, `reads_orders`: what the shop offers and we use. `raised_us`: newest entry that
    raised the SKU's free stock. `shared`: another listing of the shop sells the same pieces; its sales show in the
    orders alone. `watermark_us`: every order accepted before it is booked; None where orders show at once.
    """

    now_us: int
    reads_stock: bool
    reads_orders: bool
    orders_began_us: int = 0
    raised_us: int = 0
    number: int | None = None
    number_began_us: int = 0
    shared: bool = False
    watermark_us: int | None = None

    @property
    def fresh_number(self) -> int | None:
        fresh = self.now_us - self.number_began_us <= READ_IS_FRESH_US
        return self.number if fresh else None

    @property
    def misses_orders(self) -> bool:
        """Whether the shop may have sold these pieces on another page and we have not just looked."""
        return self.shared and self.reads_orders and not self.fresh_orders

    @property
    def fresh_orders(self) -> bool:
        return self.now_us - self.orders_began_us <= READ_IS_FRESH_US

    def misses_sales(self, shown: Shown) -> bool:
        """Whether sales from before the page's base may be unread and we have not just looked.

        A plain set wiped them off the page, a first read never saw them go: no comparison with the page shows them.
        """
        if not self.reads_orders:
            return False
        hidden = self.watermark_us is not None and shown.base_us > self.watermark_us and not self.fresh_orders
        return hidden or not self.orders_began_us


def goes_at_once(target: int, shown: Shown, forms: Collection[Form]) -> bool:
    """Whether a row needs no evidence at all: a plain set to 0, or a relative lowering from a known number."""
    if target == 0:
        return Form.ABSOLUTE in forms
    known = shown.believed is not None and not shown.verify and not shown.in_doubt
    return known and target < (shown.believed or 0) and any(form.is_relative for form in forms)


def plan_write(listing: str, target: int, shown: Shown, forms: Collection[Form], seen: Evidence) -> Plan | Need:
    """Choose the write of one row, or say what is needed first (promise 4).

    A write to 0 goes at once as a plain set; so do a relative lowering and a compare-and-set from believed (a raise
    only once the shop's orders were read whole, and up to a plain set of ours, or right now).
    A relative raise or an absolute number above 0 first reads the shop's stock (what is missing is an unread
    sale: it is taken off), or else its orders. Above what the shop shows, the orders too, by a read begun after
    the newest raising entry.
    """
    if not needs_push(target, shown):
        return Need.NOTHING
    if target == 0 and Form.ABSOLUTE in forms:
        return Plan(StockWrite(listing, Form.ABSOLUTE, 0))
    if shown.in_doubt:
        return Need.DOUBT
    relative = next((form for form in forms if form.is_relative), None)
    if shown.believed is not None and not shown.verify:
        delta = target - shown.believed
        if delta < 0 and relative is not None:
            return Plan(StockWrite(listing, relative, delta), delta)
        if Form.COMPARE_AND_SET in forms:
            if target and (seen.misses_orders or (delta > 0 and seen.misses_sales(shown))):
                return Need.ORDER_READ
            expected = shown.believed - shown.unread
            number = max(0, expected + delta)
            return Plan(StockWrite(listing, Form.COMPARE_AND_SET, number, expected), number - expected, shown.unread)
    return _plan_fenced(listing, target, shown, forms, relative, seen)


def _plan_fenced(
    listing: str, target: int, shown: Shown, forms: Collection[Form], relative: Form | None, seen: Evidence
) -> Plan | Need:
    believed = shown.believed
    if target and seen.misses_orders:
        return Need.ORDER_READ
    if seen.reads_stock:
        number = seen.fresh_number
        if number is None:
            return Need.STOCK_READ
        unread = 0 if believed is None else max(0, believed - number)
        delta = target - (number if believed is None else max(believed, number))
        goal = max(0, number + delta)
        raises = goal > number
    else:
        if seen.reads_orders and not seen.fresh_orders:
            return Need.ORDER_READ
        number, unread = None, 0 if believed is None else shown.unread
        goal = max(0, target - unread)
        raises = believed is None or goal > believed
        if relative is not None and believed is not None and target > believed:
            if seen.reads_orders and seen.orders_began_us <= seen.raised_us:
                return Need.ORDER_READ
            rise = target - believed  # exact whatever the page shows now
            return Plan(StockWrite(listing, relative, rise), rise, unread, fenced=True)
    if raises and seen.reads_orders and seen.orders_began_us <= seen.raised_us:
        return Need.ORDER_READ
    known_by_reading = shown.seen is not None and shown.seen_us == shown.base_us
    if raises and (not number or known_by_reading) and seen.misses_sales(shown):
        return Need.ORDER_READ  # what it sold before we emptied it, or first read it, no number tells
    if goal == number:
        return Need.ORDER_READ  # it shows that already; what it sold is not booked yet
    if number is not None and Form.COMPARE_AND_SET in forms:
        return Plan(StockWrite(listing, Form.COMPARE_AND_SET, goal, number), goal - number, unread, fenced=True)
    plain_zero = goal == 0 and Form.ABSOLUTE in forms
    if number is not None and relative is not None and believed is not None and not plain_zero:
        return Plan(StockWrite(listing, relative, goal - number), goal - number, unread, fenced=True)
    if Form.ABSOLUTE in forms:
        return Plan(StockWrite(listing, Form.ABSOLUTE, goal), goal - (believed or 0), unread, fenced=True)
    return Need.NO_FORM
