"""The counts of a line, whatever `unfulfilledQuantity` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model import Counts
from syncd_shopify.counts import LineFacts, read_counts


@given(st.tuples(*[st.integers(0, 5)] * 4), st.booleans(), st.booleans())
def test_counts_are_exact_when_refunds_tell_what_became_of_the_goods(
    units: tuple[int, ...], counts_refunded: bool, restocks: bool
) -> None:
    cancelled, kept, returned = units[1:]
    shipped, ordered = kept + returned, sum(units)
    counts, restocked = read_counts(
        LineFacts(
            quantity=ordered,
            current=ordered - cancelled - returned,
            unfulfilled=ordered - shipped - (0 if counts_refunded else cancelled),
            fulfilled=shipped,
            refunded_unshipped=cancelled,
            refunded_returned=returned,
            restocked=cancelled + returned if restocks else 0,
        )
    )
    assert counts == Counts(ordered, cancelled, shipped, returned)
    assert restocked == (cancelled + returned if restocks else 0)


@given(st.tuples(*[st.integers(0, 5)] * 4), st.booleans())
def test_held_is_never_below_the_truth_when_refunds_do_not_tell(units: tuple[int, ...], counts_refunded: bool) -> None:
    held, cancelled, kept, refunded_after = units
    shipped, ordered = kept + refunded_after, sum(units)
    current = ordered - cancelled - refunded_after
    unfulfilled = ordered - shipped - (0 if counts_refunded else cancelled)
    facts = LineFacts(
        quantity=ordered,
        current=current,
        unfulfilled=unfulfilled,
        fulfilled=shipped,
        refunded_open=cancelled + refunded_after,
    )
    counts, _ = read_counts(facts)
    assert held <= counts.held <= min(unfulfilled, current)
    assert counts.ordered == counts.held + counts.cancelled + counts.shipped


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_counts_never_exceed_what_was_ordered(q: int, c: int, u: int, f: int, cancelled: bool) -> None:
    counts, _ = read_counts(LineFacts(quantity=q, current=c, unfulfilled=u, fulfilled=f, order_cancelled=cancelled))
    assert counts.cancelled >= 0
    assert counts.shipped >= 0
    assert counts.cancelled + counts.shipped <= q
    assert counts.held <= min(u, c) or u > q or c > q


def test_a_cancelled_order_holds_nothing_even_without_a_refund() -> None:
    counts, restocked = read_counts(LineFacts(quantity=3, current=3, unfulfilled=3, order_cancelled=True))
    assert counts == Counts(3, 3, 0, 0)
    assert restocked is None, "no refund tells whether the shop put the units back"


def test_units_removed_by_an_edit_without_a_refund_are_cancelled_and_their_restock_unknown() -> None:
    assert read_counts(LineFacts(quantity=5, current=3, unfulfilled=3)) == (Counts(5, 2, 0, 0), None)
    assert read_counts(LineFacts(quantity=5, current=3, unfulfilled=5)) == (Counts(5, 2, 0, 0), None)


@pytest.mark.parametrize("unfulfilled", [1, 2])
def test_refund_without_restock_before_shipping_frees_our_stock_and_puts_nothing_back(unfulfilled: int) -> None:
    facts = LineFacts(quantity=2, current=1, unfulfilled=unfulfilled, refunded_open=1)
    assert read_counts(facts) == (Counts(2, 1, 0, 0), 0)


def test_refund_without_return_of_shipped_goods_is_no_return() -> None:
    facts = LineFacts(quantity=2, current=1, unfulfilled=0, fulfilled=2, refunded_open=1)
    assert read_counts(facts) == (Counts(2, 0, 2, 0), 0)
