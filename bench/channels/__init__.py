"""Every channel under its documented limits: listings pushed, orders read, stockouts meanwhile. Virtual time.

`python -m bench channels [--quick]`. What the limits allow is computed apart, in `limits.py`.
"""

from __future__ import annotations

from functools import partial

from bench.channels.limits import ALLOWED
from bench.channels.malls import MALLS, Mall
from bench.channels.measuring import Outcome, plain, push, read, slot_ms
from bench.report import Grid, Result
from syncd.sim.loop import run_virtual

LISTINGS, ORDERS, PLAIN = 100_000, 10_000, 300
QUICK_LISTINGS, QUICK_ORDERS, QUICK_PLAIN = 3000, 300, 20
PUSH_GOAL, READ_GOAL = 1.05, 1.1


def run(*, quick: bool = False) -> Result:
    """All channels, one after the other."""
    listings, orders, items = (QUICK_LISTINGS, QUICK_ORDERS, QUICK_PLAIN) if quick else (LISTINGS, ORDERS, PLAIN)
    result = Result(
        "channels_quick" if quick else "channels", "each channel under its documented limits, in virtual time"
    )
    pushes = Grid("Listings pushed", ("channel", "listings", "allowed s", "took s", "×", "calls", "stockouts max ms"))
    reads = Grid("Orders read", ("channel", "orders", "allowed s", "took s", "×", "calls", "stockouts max ms"))
    scripts = Grid(
        "Beside a plain script: one call for each changed item, at the same rates",
        ("channel", "calls a SKU: syncd", "script", "until the last SKU is right: syncd", "script"),
    )
    for mall in MALLS:
        pushed = run_virtual(partial(push, mall, listings))
        _judge_push(result, pushes, mall, listings, pushed)
        _judge_read(result, reads, mall, orders, run_virtual(partial(read, mall, orders)))
        _compare(result, scripts, mall, listings, pushed, run_virtual(partial(plain, mall, items)))
    result.grids += [pushes, reads, scripts]
    result.notes += [f"{slug}: {allowed.how}" for slug, allowed in ALLOWED.items()]
    return result


def _judge_push(result: Result, grid: Grid, mall: Mall, listings: int, found: Outcome) -> None:
    allowed = ALLOWED[mall.slug]
    seconds = allowed.push(listings) + allowed.push_takes_seconds
    _judge(result, grid, mall, f"{listings:,} listings", listings, found, seconds, PUSH_GOAL)


def _judge_read(result: Result, grid: Grid, mall: Mall, orders: int, found: Outcome) -> None:
    _judge(result, grid, mall, f"{orders:,} orders", orders, found, ALLOWED[mall.slug].read(orders), READ_GOAL)


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
    met = found.missing == 0 and bool(found.late_ms) and worst <= slot
    result.goal(f"{mall.slug}: a stockout beside {what} within one slot", f"{worst:,.0f} of {slot:,.0f} ms", met=met)
    clean = found.stale == 0 and found.violations == 0
    told = f"{found.violations} violations, {found.stale} stale raises"
    result.goal(f"{mall.slug}: {what}: no rate exceeded, no stale raise", told, met=clean)
    result.numbers[f"{mall.slug}: {what}: ratio"] = ratio


def _compare(result: Result, grid: Grid, mall: Mall, listings: int, pushed: Outcome, script: Outcome) -> None:
    """The script is measured over few items; its time grows with their number alone."""
    calls = sum(pushed.calls.values()) / max(1, pushed.done)
    scripted = sum(script.calls.values()) / max(1, script.done)
    whole = script.seconds * listings / max(1, script.done)
    grid.add(mall.slug, f"{calls:.4f}", f"{scripted:.2f}", f"{pushed.seconds:,.0f} s", f"{whole:,.0f} s")
    result.numbers |= {f"{mall.slug}: calls a SKU": calls, f"{mall.slug}: script: seconds": whole}
