"""From order states to ledger entries: what a line holds, what left the shelf, and the difference to book.

An order is a state. Its booked effect is a function of its counts alone, so the entry is always (effect now −
effect booked) × frozen pieces: repeated, late, reordered and split states book the same total once.

    held      = ordered − cancelled − shipped            (ordered, or allocated once a shipment is opened)
    gone      = shipped − shipped before a count − returned and put back
    on hand  −= gone
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from syncd.core.values import value
from syncd.model import Balance, Counts, LineState, OrderState, Returns, Source

DAY_US = 86_400_000_000


@value
class Booked:
    """What is booked of one order line, in units of its listing. `ignored` left before a count or opening."""

    held: int = 0
    allocated: int = 0
    gone: int = 0
    ignored: int = 0


NOTHING = Booked()


@dataclass(frozen=True, slots=True)
class Baseline:
    """Since when a SKU's number at a location is known: newest opening and newest count, 0 for never."""

    opened_us: int = 0
    counted_us: int = 0


NEVER = Baseline()


@value
class Change:
    """One entry to be: the change of one SKU's balance, in pieces."""

    sku: int
    on_hand: int
    ordered: int
    allocated: int

    @property
    def free(self) -> int:
        return self.on_hand - self.ordered - self.allocated


class CountsError(ValueError):
    """Counts no order can have. The text says which; the order is kept and listed, not booked."""


MOST_UNITS = 1_000_000


def check_counts(line: str, counts: Counts) -> None:
    """Refuse negative and absurd counts. Raises CountsError."""
    for name in ("ordered", "cancelled", "shipped", "returned"):
        value = getattr(counts, name)
        if not 0 <= value <= MOST_UNITS:
            raise CountsError(f"line {line}: {name} = {value}, must be 0 to {MOST_UNITS}")


def is_older(state_as_of_us: int, state_source: Source, known_as_of_us: int, known_source: Source) -> bool:
    """Whether a state must be ignored: older than what is known, or from a weaker source."""
    if state_source != known_source:
        return state_source < known_source
    return state_as_of_us < known_as_of_us


def counts_now(known: Mapping[str, Counts], state: OrderState, *, replaces: bool) -> dict[str, Counts]:
    """Counts of every line after a state. A missing line means 0 only where the state is complete.

    `replaces`: the state comes from a stronger source, whose lines replace the known ones as a whole.
    """
    new = {line.line: line.counts for line in state.lines}
    if state.complete or replaces:
        return {line: new.get(line, Counts()) for line in (*known, *(key for key in new if key not in known))}
    return {**known, **new}


def told_apart(listing_of: Mapping[str, str], state: OrderState, key: Callable[[str], str]) -> OrderState:
    """Keep a line apart from a known one of another listing that only bears the same name.

    A weaker source may number its lines otherwise, and a shop may put another article into a line.

    `listing_of` gives the listing of each known line. A line whose pieces are frozen for another listing keeps
    its name, with no units; the new one is named by its listing too, and so found again in later states.
    """
    lines: list[LineState] = []
    for line in state.lines:
        listing = key(line.listing)
        own = f"{line.line}|{listing}"
        other = listing_of.get(line.line, listing)
        if own in listing_of or other != listing:
            lines += [replace(line, line=own), LineState(line=line.line, listing=other, ordered=0)]
        else:
            lines.append(line)
    return replace(state, lines=tuple(lines))


def as_shipped(counts: Counts, ships: str, placed_us: int | None, now_us: int) -> Counts:
    """Counts of a shop that never reports shipments: shipped at the order, or so many days after it."""
    if ships == "reported":
        return counts
    if ships != "at_order":
        days = int(ships.removeprefix("after "))
        if placed_us is None or now_us < placed_us + days * DAY_US:
            return counts
    return replace(counts, shipped=max(counts.shipped, counts.ordered - counts.cancelled))


def with_own(counts: Counts, own_shipped: int) -> Counts:
    """Counts of a line of which `own_shipped` units are booked here as shipped, in all.

    Both numbers of shipped units are totals of the line, never events, so the larger one is right:

    - A shipment told from both sides counts once, whichever side comes first.
    - A state that does not know our shipment yet tells fewer units and cannot take them back, however new its
      `as_of` is: a channel may stamp a state after our booking and still have made it before our call arrived, and
      what has left does not come back by a state. So `as_of` orders the states among themselves, as ever, and never
      a state against a shipment of ours; only a person withdraws one.
    - Units that others shipped are not lost: ours begin behind the shipped units known when they were booked.

    An order cancelled at the shop after its goods left holds nothing more and stays gone; they come back as returned.
    """
    return replace(counts, shipped=max(counts.shipped, own_shipped))


def carried(own: Mapping[str, tuple[str, int]], given: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """Where units booked here as shipped go when a stronger source names the lines anew: old line -> new line.

    `own` gives listing and own shipped units of the known lines, `given` is (line, listing, ordered) of the state.
    A line that keeps its name keeps its units; one whose listing has no line with room for them does too: they left.
    """
    fresh = {line: listing for line, listing, _ in given}
    room = {line: ordered - (own[line][1] if line in own else 0) for line, _, ordered in given}
    moved: dict[str, str] = {}
    for old, (listing, units) in own.items():
        if units and old not in fresh:
            found = next((line for line, key in fresh.items() if key == listing and room[line] >= units), None)
            if found is not None:
                moved[old] = found
                room[found] -= units
    return moved


def awaits_shop(counts: Counts, own_shipped: int, shop_shipped: int) -> bool:
    """Whether the shop does not show yet what was shipped here, and still could."""
    return min(own_shipped, counts.ordered - counts.cancelled) > shop_shipped


def booked_now(counts: Counts, *, opened: bool, returns: Returns, ignored: int, accepted_back: int = 0) -> Booked:
    """What must be booked of a line with these counts, when `ignored` of its shipped units left uncounted.

    Of returned goods that are inspected only those come back that a person accepted.
    """
    back = 0
    if returns is not Returns.NEVER:
        back = min(counts.returned, counts.shipped)
    if returns is Returns.INSPECT:
        back = min(back, accepted_back)
    held = counts.held
    return Booked(
        held=0 if opened else held,
        allocated=held if opened else 0,
        gone=max(0, counts.shipped - ignored) - max(0, back - ignored),
        ignored=ignored,
    )


def ignored_now(booked: Booked, before: Counts, counts: Counts, baselines: Iterable[Baseline], left_us: int) -> int:
    """Shipped units that were already missing from the newest count, and so are not taken off again.

    `left_us` is the latest the newly shipped units can have left. Only units that every piece's count came
    after are ignored.
    """
    rise = counts.shipped - before.shipped
    if rise > 0 and all(left_us <= line.counted_us for line in baselines):
        return booked.ignored + rise
    return min(booked.ignored, counts.shipped)


def changes(
    pieces: Mapping[int, int],
    before: Booked,
    now: Booked,
    *,
    inside_opening: Mapping[int, int],
) -> list[Change]:
    """The entries that turn what is booked into what must be booked.

    `inside_opening` gives, per SKU, the units that an opening's number had already left out because the
    order was placed before it: they come back to on hand at the first booking, so that free stays as opened.
    """
    gone = now.gone - before.gone
    held = now.held - before.held
    allocated = now.allocated - before.allocated
    result = []
    for sku, each in pieces.items():
        on_hand = (inside_opening.get(sku, 0) - gone) * each
        if on_hand or held or allocated:
            result.append(Change(sku, on_hand, held * each, allocated * each))
    return result


def units_inside_opening(
    counts: Counts, ignored: int, baselines: Mapping[int, Baseline], existed_us: int
) -> dict[int, int]:
    """Units of a first-seen line that were held when the opening was taken, per SKU.

    `existed_us` is the latest the order can have been placed. Cancelled units count as cancelled before.
    """
    units = max(0, counts.ordered - counts.cancelled - ignored)
    return {sku: units for sku, line in baselines.items() if units and 0 < existed_us <= line.opened_us}


def units_before_opening(
    before: Booked, now: Booked, baselines: Mapping[int, Baseline], latest_us: int
) -> dict[int, int]:
    """Units by which a change that an opening already contained must move on hand, so that free stays as opened.

    `latest_us` is the latest the change can have happened: a cancel read late, but made before the opening.
    """
    freed = now.gone - before.gone + now.held - before.held + now.allocated - before.allocated
    return {sku: freed for sku, line in baselines.items() if freed and 0 < latest_us <= line.opened_us}


def expand(sku: int, units: int, parts: Mapping[int, Mapping[int, int]]) -> dict[int, int]:
    """Pieces per plain SKU in so many units of a SKU; `parts` maps each bundle to its parts.

    Raises ValueError for a cycle, which `check_bundles` keeps out of the store.
    """
    total: dict[int, int] = {}
    stack: list[tuple[int, int, tuple[int, ...]]] = [(sku, units, ())]
    while stack:
        one, count, path = stack.pop()
        if one in path:
            raise ValueError(f"bundle contains itself: {' > '.join(map(str, (*path, one)))}")
        inside = parts.get(one)
        if not inside:
            total[one] = total.get(one, 0) + count
            continue
        stack.extend((part, count * each, (*path, one)) for part, each in inside.items())
    return total


def find_cycle(parts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...] | None:
    """A path of SKU codes that leads back to its start, if bundles contain one."""
    done: set[str] = set()

    def visit(code: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if code in path:
            return (*path[path.index(code) :], code)
        if code in done:
            return None
        for part in parts.get(code, ()):
            cycle = visit(part, (*path, code))
            if cycle:
                return cycle
        done.add(code)
        return None

    for code in parts:
        cycle = visit(code, ())
        if cycle:
            return cycle
    return None


def opening(number: int, balance: Balance) -> int:
    """Change of on hand that makes `number` the free stock now, with open orders still held on top of it."""
    return number - balance.free


def count(on_shelf: int, balance: Balance) -> int:
    """Change of on hand after counting the shelf; orders unshipped stay held."""
    return on_shelf - balance.on_hand
