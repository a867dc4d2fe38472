"""Returned goods that are inspected: stock comes back only on a yes, and once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.daemon.desk_answers import Mistakes
from syncd.daemon.desk_returns import ReturnItem, Verdict, decide, undecided, waiting_units
from syncd.daemon.facts import ShopFacts
from syncd.model import ReturnReason, Returns
from syncd.store import returned

from .shelf import Shelf, line, open_shelf

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
BY_REASON = {ReturnReason.DAMAGED: Returns.NEVER, ReturnReason.REFUSED: Returns.BACK}


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with open_shelf() as made:
        made.sku("mug", 20)
        made.listing(made.shop("a", returns=Returns.INSPECT, returns_by_reason=BY_REASON), "mug", "mug", 20)
        yield made


def shop_of(shelf: Shelf) -> ShopFacts:
    return next(iter(shelf.facts.shops.values()))


def comes_back(shelf: Shelf, units: int, *, at: float = 10, number: str = "1", **more: Any) -> None:
    shelf.book(shop_of(shelf), shelf.state(number, line("1", "mug", 5, shipped=5, returned=units, **more), at=at))


def say(shelf: Shelf, verdict: Verdict, number: str = "1", lines: Mapping[str, int | None] | None = None) -> Any:
    item = ReturnItem("a", number, lines or {})
    return shelf.tx(lambda conn: decide(conn, shelf.facts, verdict, [item], shelf.now_us, "test"))


def waiting(shelf: Shelf, **more: Any) -> list[tuple[str, int]]:
    rows = shelf.tx(lambda conn: undecided(conn, shelf.facts, None, **{"limit": 10, "after_id": 0, **more}))
    return [(row["order"], row["units"]) for row in rows]


def test_returned_goods_wait_and_are_on_hand_only_after_a_yes_and_once(shelf: Shelf) -> None:
    comes_back(shelf, 3)
    assert shelf.numbers("mug") == (15, 0, 0)
    assert waiting(shelf) == [("1", 3)]
    say(shelf, Verdict.ACCEPT)
    assert shelf.numbers("mug") == (18, 0, 0)
    assert waiting(shelf) == []
    with pytest.raises(Mistakes, match="no returned goods wait"):
        say(shelf, Verdict.ACCEPT)
    comes_back(shelf, 3, at=20)
    assert shelf.numbers("mug") == (18, 0, 0)
    shelf.check()


def test_a_no_leaves_the_stock_as_it_is_and_empties_the_list(shelf: Shelf) -> None:
    comes_back(shelf, 3)
    say(shelf, Verdict.REJECT, lines={"mug": 2})
    say(shelf, Verdict.ACCEPT)
    assert shelf.numbers("mug") == (16, 0, 0)
    assert waiting(shelf) == []


def test_the_reason_decides_where_the_channel_tells_one(shelf: Shelf) -> None:
    comes_back(shelf, 1, number="1", return_reason=ReturnReason.DAMAGED)
    comes_back(shelf, 1, number="2", return_reason=ReturnReason.REFUSED)
    comes_back(shelf, 1, number="3", return_reason=ReturnReason.SENT_BACK)
    assert shelf.numbers("mug") == (6, 0, 0)
    assert waiting(shelf) == [("3", 1)]
    found = waiting_units(shelf.facts, shelf.tx(returned.waiting))
    assert found == {shop_of(shelf).id: 1}


def test_goods_of_a_reason_that_is_not_inspected_do_not_hide_those_behind_them(shelf: Shelf) -> None:
    for n in range(5):
        comes_back(shelf, 1, number=f"d{n}", return_reason=ReturnReason.DAMAGED)
    comes_back(shelf, 1, number="last")
    assert waiting(shelf, limit=2) == [("last", 1)]


def test_more_than_waits_is_refused_and_nothing_is_applied(shelf: Shelf) -> None:
    comes_back(shelf, 2)
    items = [
        ReturnItem("a", "1", {"1": 1}),
        ReturnItem("a", "1", {"mug": 2}),
        ReturnItem("a", "9"),
        ReturnItem("a", "1", {"x": 1}),
    ]
    with pytest.raises(Mistakes) as caught:
        shelf.tx(lambda conn: decide(conn, shelf.facts, Verdict.ACCEPT, items, shelf.now_us, "test"))
    assert [one.where for one in caught.value.every] == [
        "items[1].lines[mug].units", "items[2].order", "items[3].lines[x].line",
    ]  # fmt: skip
    assert shelf.numbers("mug") == (15, 0, 0)


def test_a_return_that_the_shop_takes_back_leaves_the_shelf_again(shelf: Shelf) -> None:
    comes_back(shelf, 3)
    say(shelf, Verdict.ACCEPT)
    comes_back(shelf, 1, at=20)
    assert shelf.numbers("mug") == (16, 0, 0)


deeds = st.lists(
    st.tuples(st.sampled_from(["back", "again", "accept", "reject"]), st.integers(1, 3)), min_size=1, max_size=8
)


@RELAXED
@given(deeds)
def test_on_hand_is_what_left_and_was_accepted_whatever_the_order(happened: list[tuple[str, int]]) -> None:
    with open_shelf() as shelf:
        shelf.sku("mug", 20)
        shelf.listing(shelf.shop("a", returns=Returns.INSPECT), "mug", "mug", 20)
        back = accepted = rejected = at = 0
        comes_back(shelf, 0)
        for what, units in happened:
            at += 20
            if what == "back":
                back = min(5, back + units)
                comes_back(shelf, back, at=at)
            elif what == "again":
                comes_back(shelf, back, at=at)
            elif units := min(units, back - accepted - rejected):
                say(shelf, Verdict(what), lines={"1": units})
                accepted += units if what == "accept" else 0
                rejected += units if what == "reject" else 0
            assert shelf.numbers("mug") == (15 + accepted, 0, 0)
            assert sum(n for _, n in waiting(shelf)) == back - accepted - rejected
            shelf.check()
