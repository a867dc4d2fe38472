"""The benchmark of the channels, in small: it measures what happens, and its limits are arithmetic on documents."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from bench.channels.limits import ALLOWED, amazon_push
from bench.channels.malls import MALLS, Mall
from bench.channels.measuring import plain, push, read, slot_ms
from bench.channels.parts import Size, kept, measured

from syncd.sim.loop import run_virtual

BY_SLUG = {mall.slug: mall for mall in MALLS}


@pytest.mark.parametrize(
    ("slug", "push_seconds", "read_seconds"),
    [
        ("rakuten", 249 / 0.95, 109 / 0.95),
        ("yahoo-shopping", 99 / 0.95, 9999 / 0.95),
        ("amazon", 0.0, 80 / 0.0056),
        ("shopify", 24.0, 264.0),
        ("files", 99 * 60.0, 15.0),
    ],
)
def test_what_the_documents_allow_for_a_hundred_thousand_listings_and_ten_thousand_orders(
    slug: str, push_seconds: float, read_seconds: float
) -> None:
    assert ALLOWED[slug].push(100_000) == pytest.approx(push_seconds)
    assert ALLOWED[slug].read(10_000) == pytest.approx(read_seconds)


def test_few_listings_go_to_amazon_by_patch_and_many_by_feed() -> None:
    assert amazon_push(55) == pytest.approx(50 / 5 - 17)
    assert amazon_push(125_000) == 0, "five feeds at once"
    assert amazon_push(150_000) == 300


@pytest.mark.parametrize("slug", ["rakuten", "shopify"])
def test_a_push_of_a_few_hundred_listings_brings_all_of_them_and_every_stockout(slug: str) -> None:
    found = run_virtual(partial(push, BY_SLUG[slug], 1200))
    assert found.done == 1200
    assert (found.missing, found.stale, found.violations) == (0, 0, 0)
    assert found.late_ms
    assert max(found.late_ms) <= slot_ms(ALLOWED[slug])


@pytest.mark.parametrize("mall", MALLS, ids=lambda mall: mall.slug)
def test_every_channel_reads_all_new_orders_without_exceeding_a_rate(mall: Mall) -> None:
    found = run_virtual(partial(read, mall, 60))
    assert found.done == 60
    assert (found.stale, found.violations) == (0, 0)


@pytest.mark.parametrize("mall", MALLS, ids=lambda mall: mall.slug)
def test_the_plain_script_makes_a_call_for_each_item(mall: Mall) -> None:
    found = run_virtual(partial(plain, mall, 3))
    assert found.done == 3
    assert sum(found.calls.values()) == 3


def test_the_plain_script_keeps_the_documented_rate() -> None:
    assert run_virtual(partial(plain, BY_SLUG["rakuten"], 5)).seconds >= 4 / 1.0


def test_channel_measured_at_full_size_is_kept_and_put_beside_the_others_later(tmp_path: Path) -> None:
    size = Size("few", listings=6, orders=3, script_items=1, folder=tmp_path)
    part = measured(BY_SLUG["rakuten"], size)
    assert kept(BY_SLUG["rakuten"], size) == part
    assert kept(BY_SLUG["shopify"], size) is None
    assert (part.push.done, part.read.done, part.plain.done) == (6, 3, 1)
