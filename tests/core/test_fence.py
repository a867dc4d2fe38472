"""What is believed of a page against the truth of the page, over random lives of one listing (promise 4)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import fence
from syncd.core.fence import Shown
from syncd.sdk.channel import Form

from .mall import BEGIN, SECOND, VISIBLE, Mall

A, R, C = Form.ABSOLUTE, Form.RELATIVE_REFUSES, Form.COMPARE_AND_SET
M = 2 * SECOND
Step = tuple[str, int, int]

pauses = st.sampled_from([100_000, 700_000, 1_500_000, 3 * SECOND, 40 * SECOND, 200 * SECOND])
lates = st.sampled_from([0, 2, 29])
acts = st.sampled_from(
    ["sell", "sell", "sell", "cancel", "keep", "poll", "poll", "read", "begin", "begin", "apply", "answer", "lose", "land"]
)
steps = st.lists(st.tuples(acts, st.integers(0, 7), lates, pauses), min_size=1, max_size=25)
forms = st.sampled_from([(A,), (R,), (C,), (A, R), (A, C), (A, R, C)])


def do(mall: Mall, act: str, size: int, late: int) -> None:
    if act == "sell":
        mall.sell(1 + size % 3, late * SECOND)
    elif act in ("cancel", "keep"):
        mall.cancel(size, late * SECOND, restock=act == "cancel")
    elif act == "begin":
        mall.begin(size)
    elif act == "apply" and mall.call is not None and mall.call.applied is None:
        mall.apply(mall.call)
    elif act == "hand":
        mall.page = size
    elif act in ("poll", "read", "answer", "lose", "land"):
        getattr(mall, act)()


def live(mall: Mall, life: Iterable[tuple[str, int, int, int]]) -> None:
    mall.poll()
    mall.read()
    for act, size, late, pause in life:
        mall.wait(pause)
        do(mall, act, size, late)
        assert mall.believes_enough(), (mall.shown, mall.exposure)


@settings(max_examples=600, deadline=None)
@given(steps, forms, st.booleans(), st.sampled_from([-2, -1, 0, 2]), st.sampled_from([0, SECOND]), st.booleans())
def test_a_page_never_holds_more_than_is_believed_of_it(
    life: list[tuple[str, int, int, int]], some: tuple[Form, ...], reads_stock: bool, skew: int, stamps: int, dated: bool
) -> None:
    mall = Mall(
        5, frozenset(some), reads_stock or A not in some, skew * SECOND, stamps, dated, skew_bound=2 * SECOND
    )
    live(mall, life)
    mall.come_to_rest()
    assert mall.believes_enough()


@settings(max_examples=600, deadline=None)
@given(steps, forms, st.sampled_from([-2, 0, 2]), st.sampled_from([0, SECOND]), st.booleans())
def test_at_rest_the_number_is_known_exactly_and_no_hand_was_suspected(
    life: list[tuple[str, int, int, int]], some: tuple[Form, ...], skew: int, stamps: int, dated: bool
) -> None:
    """Writes take effect when they are answered: a slow answer is a case of its own, below."""
    life = [one for one in life if one[0] != "apply"]
    mall = Mall(5, frozenset(some), True, skew * SECOND, stamps, dated, skew_bound=2 * SECOND)
    live(mall, life)
    mall.come_to_rest()
    assert mall.shown.believed == mall.page
    assert not mall.shown.verify
    put_back = sum(one.back for one in mall.orders)
    assert all(0 < drift <= put_back for drift in mall.drifts)  # a cancel seen on the page before its order was read
