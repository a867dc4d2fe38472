"""The page of the oversell benchmark, with what was assumed."""

from __future__ import annotations

from bench.report import Result, table
from syncd.sim.core.assumptions import BATCH_SECONDS, DEMANDS, SHOPS, WATCH_SECONDS

HEAD = """# Oversold units, by simulation

`make bench-oversell` writes this page and its chart (a quarter of an hour on 2 cores; `ARGS=--quick` prints a small
run). Every way of working meets the same buyers, one seed a merchant, and a rerun gives the same numbers. *Ours* is
the daemon's own code for what is decided: what a shop is believed to show, exposures, modes, shares, and by which
write a number may go (`syncd.core`), on rows in memory; shops are models.

![Oversold units per 10,000 orders](oversell.svg)
"""

WAYS = """## The ways of working

- **fixed 15 min, fixed 10 min**: orders are read, and plain numbers written to every shop that shows another one, at
  whole multiples.
- **3 min + 1 min stockout**: orders are read every minute; numbers of 0 go every minute, others every 3 minutes.
- **zero-delay mirror**: an order is known the moment it can be read, and written at once, without limits of rate.
- **mirror**: syncd, policy `mirror`: each shop read at its own pace, stockouts and low stock at once, others in the
  batch; low stock is read back.
- **auto**: syncd's default: as `mirror`, with a reserve by rate when sales run ahead of us, and escrow when stock is
  low for that rate.
- **escrow**, and **sale mode** (an announced flash): every raise is booked before it is made; exactly 0 by rule.

*Lost* are units that were asked for and never sold. *Refused while there was stock* counts every buyer a shop turned
away although a piece was left somewhere; most of these pieces were sold to somebody else later. In a flash demand is
twice the stock.
"""

ASSUMED = """## What was assumed

Of the shops below only the two minutes of the Amazon-like one are documented; everything else is an assumption and
stands in `src/syncd/sim/core/assumptions.py`. Left out here: cancels, outages, bundles, several warehouses and hands
in the back office. Orders are of one unit.
"""

DIFFERS = """\
## Where the daemon differs from this table

Twenty scripts of far apart events are played in both layers, and every number and write must be the same
(`tests/sim/test_same_decisions.py`). What remains is how soon unread sales of low stock are found, and who hears of it:

- In the core layer all low stock is read back every 2 s. The daemon reads it back every 10 s, and only where at least
  0.02 pieces are expected to be sold unseen.
- In the core layer `auto` and `mirror` also take off the other shops what a read-back shows to be sold and not booked.
  The daemon leaves it to the page's own listing: taking it off elsewhere, it wrote a stale raise in a play of the whole
  layer. So its `auto` lies between `mirror` with a reserve and the row above until that is mended.
- Before the daemon raises a page that it emptied less than the shop's visibility ago, it reads the shop's orders once
  more; in the core layer orders can be read as soon as a raise would ask for them.
"""


def page(result: Result) -> str:
    """The whole page."""
    lines = [HEAD, *result.notes, "", *_grid(result, 0), "", WAYS]
    for i in range(1, len(result.grids)):
        lines += [*_grid(result, i), ""]
    goals = [(one.text, one.measured, "met" if one.met else "**missed**") for one in result.goals]
    lines += [
        "## Goals",
        "",
        *table(("goal", "measured", ""), goals),
        "",
        ASSUMED,
        *_shops(),
        "",
        *_demands(),
        "",
        DIFFERS.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _grid(result: Result, which: int) -> list[str]:
    grid = result.grids[which]
    return [f"## {grid.title}", "", *table(grid.columns, grid.rows)]


def _shops() -> list[str]:
    rows = []
    for shop in SHOPS:
        forms = " or ".join(sorted(form.value.replace("_", " ") for form in shop.forms))
        low, high = shop.visible
        seen = f"{low:g}-{high:g}" if low != high else f"{low:g}"
        late = f", at most {shop.latest:g}" if shop.latest > high else ""
        applies = "with the call" if shop.applies is None else f"{shop.applies[0]:g}-{shop.applies[1]:g} s"
        uploads = f", uploads every {shop.uploads:g} s" if shop.uploads else ""
        rows.append(
            (
                shop.name, f"{shop.share:.0%}", forms, f"{shop.rows:,} rows a call, {shop.calls:g} calls/s{uploads}",
                f"{seen} s{late}", "by webhook" if not shop.poll else f"every {shop.poll:g} s", applies,
                "yes" if shop.reads else "no",
            )
        )  # fmt: skip
    columns = (
        "shop",
        "demand",
        "writes",
        "speed",
        "orders readable after",
        "orders read",
        "write applied",
        "reads stock",
    )
    return [
        *table(columns, rows), "",
        f"Batch every {BATCH_SECONDS:g} s; low stock is read back every {WATCH_SECONDS:g} s"
        " where half of the shop's calls suffice.",
    ]  # fmt: skip


def _demands() -> list[str]:
    rows = [
        (
            str(name), f"{one.stock[0]}-{one.stock[1]}", _rate(one.per_second), f"{one.skus}",
            f"{one.clog:,} rows" if one.clog else "",
        )
        for name, one in DEMANDS.items()
    ]  # fmt: skip
    columns = (
        "scenario",
        "stock of a SKU",
        "buyers of a SKU",
        "SKUs a merchant",
        "restocked in every shop at that minute",
    )
    return table(columns, rows)


def _rate(per_second: float) -> str:
    if per_second * 60 >= 1:
        return f"{per_second * 60:g} a minute for 10 minutes"
    return f"{per_second * 3600:g} an hour" if per_second * 3600 >= 1 else f"{per_second * 86_400:g} a day"
