"""The result of a seed: good only if every promise was kept, and one line of JSON that says so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from syncd.sim.outcome import Broken, Layer, Outcome

GOOD = Outcome(
    seed=7, layer=Layer.WHOLE, seconds=1800.0, trace_hash="ab", orders=10, lost=0, doubled=0, stale_raises=0,
    oversold_by_us=2, oversold_by_channel=1, converged=True,
)  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"lost": 1}, {"doubled": 1}, {"stale_raises": 1}, {"converged": False}, {"broken": (Broken(what="x"),)}]
)
def test_any_broken_promise_makes_an_outcome_bad(change: dict[str, object]) -> None:
    assert GOOD.good
    assert not replace(GOOD, **change).good  # type: ignore[arg-type]


def test_the_line_begins_with_the_documented_keys_in_their_order() -> None:
    line = json.loads(GOOD.line())
    assert list(line)[:10] == [
        "seed", "layer", "trace_hash", "orders", "lost", "doubled", "stale_raises", "oversold_by_us",
        "oversold_by_channel", "converged",
    ]  # fmt: skip
    assert line["layer"] == "whole"


def test_a_report_names_the_command_that_plays_the_seed_again() -> None:
    bad = replace(GOOD, broken=(Broken(what="lost: a-1", sku="S1"),), events=("12 a sold S1",))
    assert "syncd sim --layer whole --seed 7 --hours 0.5" in bad.report()
    assert bad.report().endswith("  12 a sold S1")
