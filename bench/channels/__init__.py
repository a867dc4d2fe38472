"""Every channel under its documented limits: listings pushed, orders read, stockouts meanwhile. Virtual time.

`python -m bench channels [--quick] [CHANNEL …]`. What the limits allow is computed apart, in `limits.py`. At full size
each channel's part is kept by itself, so that one can be measured again alone.
"""

from __future__ import annotations

from collections.abc import Collection

from bench.channels.limits import ALLOWED
from bench.channels.malls import MALLS, Mall
from bench.channels.measuring import Outcome, slot_ms
from bench.channels.parts import FULL, QUICK, Part, kept, measured
from bench.report import Grid, Result

PUSH_GOAL, READ_GOAL = 1.05, 1.1


def run(*, quick: bool = False, only: Collection[str] = ()) -> Result:
    """The named channels, or all, one after the other; at full size the others as they were measured last."""
    size = QUICK if quick else FULL
    result = Result(size.name, "each channel under its documented limits, in virtual time")
    pushes = Grid("Listings pushed", ("channel", "listings", "allowed s", "took s", "×", "calls", "stockouts max ms"))
    reads = Grid("Orders read", ("channel", "orders", "allowed s", "took s", "×", "calls", "stockouts max ms"))
    scripts = Grid(
        "Beside a plain script: one call for each changed item, at the same rates",
        ("channel", "calls a SKU: syncd", "script", "until the last SKU is right: syncd", "script"),
    )
    for mall in MALLS:
        part = measured(mall, size) if not only or mall.slug in only else kept(mall, size)
        if part is None:
            result.goal(f"{mall.slug}: measured", "not at this size", met=False)
            continue
        _judge_push(result, pushes, mall, part)
        _judge_read(result, reads, mall, part)
        _compare(result, scripts, mall, part)
    result.grids += [pushes, reads, scripts]
    result.notes += [f"{slug}: {allowed.how}" for slug, allowed in ALLOWED.items()]
    return result


def _judge_push(result: Result, grid: Grid, mall: Mall, part: Part) -> None:
    allowed, listings = ALLOWED[mall.slug], part.listings
    seconds = allowed.push(listings) + allowed.push_takes_seconds
    _judge(result, grid, mall, f"{listings:,} listings", listings, part.push, seconds, PUSH_GOAL)


def _judge_read(result: Result, grid: Grid, mall: Mall, part: Part) -> None:
    seconds = ALLOWED[mall.slug].read(part.orders)
    _judge(result, grid, mall, f"{part.orders:,} orders", part.orders, part.read, seconds, READ_GOAL)


def _judge(
    result: Result, grid: Grid, mall: Mall, what: str, count: int, found: Outcome, seconds: float, goal: float
) -> None:
    ratio, slot = found.seconds / max(seconds, 1.0), slot_ms(ALLOWED[mall.slug])
    worst, calls = max(found.late_ms, default=0.0), sum(found.calls.values())
    grid.add(
        mall.slug, f"{found.done:,}", f"{seconds:,.1f}", f"{found.seconds:,.1f}", f"{ratio:.3f}", f"{calls:,}",
        f"{worst:,.0f} of {slot:,.0f}",
    )  # fmt: skip
    text = f"{mall.slug}: {what} in <= {goal} x the time allowed"
    result.goal(text, f"{ratio:.3f} ({found.done:,} done)", met=found.done >= count and ratio <= goal)
    met = found.missing == 0 and bool(found.late_ms) and worst <= slot + 1e-6
    result.goal(f"{mall.slug}: a stockout beside {what} within one slot", f"{worst:,.0f} of {slot:,.0f} ms", met=met)
    clean = found.stale == 0 and found.violations == 0
    told = f"{found.violations} violations, {found.stale} stale raises"
    result.goal(f"{mall.slug}: {what}: no rate exceeded, no stale raise", told, met=clean)
    result.numbers[f"{mall.slug}: {what}: ratio"] = ratio


def _compare(result: Result, grid: Grid, mall: Mall, part: Part) -> None:
    """The script is measured over few items; its time grows with their number alone."""
    pushed, script = part.push, part.plain
    calls = sum(pushed.calls.values()) / max(1, pushed.done)
    scripted = sum(script.calls.values()) / max(1, script.done)
    whole = script.seconds * part.listings / max(1, script.done)
    grid.add(mall.slug, f"{calls:.4f}", f"{scripted:.2f}", f"{pushed.seconds:,.0f} s", f"{whole:,.0f} s")
    result.numbers |= {f"{mall.slug}: calls a SKU": calls, f"{mall.slug}: script: seconds": whole}
