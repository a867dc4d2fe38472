"""Shares by demand, and the order in which rights move."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.shares import Holder, goals, shares, transfer

TOTALS = st.integers(-5, 500)
WEIGHTS = st.dictionaries(st.integers(1, 9), st.floats(0, 100), min_size=1, max_size=8)
CAPS = st.dictionaries(st.integers(1, 9), st.integers(0, 200))
HELD = st.dictionaries(st.integers(1, 9), st.integers(0, 80), max_size=8)


@given(TOTALS, WEIGHTS, CAPS)
def test_shares_give_out_what_there_is_and_no_piece_more(
    total: int, weights: dict[int, float], caps: dict[int, int]
) -> None:
    given_out = shares(total, weights, caps)
    room = sum(max(0, min(caps.get(key, total), total)) for key in weights)
    assert given_out.keys() == weights.keys()
    assert sum(given_out.values()) == max(0, min(total, room))
    assert all(0 <= share <= max(0, caps.get(key, total)) for key, share in given_out.items())


@given(TOTALS, WEIGHTS, CAPS)
def test_shares_do_not_depend_on_the_order_of_shops(
    total: int, weights: dict[int, float], caps: dict[int, int]
) -> None:
    backwards = dict(reversed(weights.items()))
    assert shares(total, weights, caps) == shares(total, backwards, caps)


@given(st.integers(0, 500), WEIGHTS)
def test_every_shop_gets_a_piece_while_there_are_enough(total: int, weights: dict[int, float]) -> None:
    given_out = shares(total, weights)
    if total >= len(weights):
        assert min(given_out.values()) >= 1
    assert shares(total, weights, least=0).keys() == weights.keys()


@given(st.integers(0, 500), WEIGHTS)
def test_a_heavier_shop_never_gets_less(total: int, weights: dict[int, float]) -> None:
    given_out = shares(total, weights)
    for a in weights:
        for b in weights:
            if weights[a] > weights[b]:
                assert given_out[a] >= given_out[b]


def test_shares_follow_the_weights() -> None:
    assert shares(100, {1: 0.35, 2: 0.20, 3: 0.20, 4: 0.15, 5: 0.07, 6: 0.03}) == {
        1: 35,
        2: 20,
        3: 20,
        4: 15,
        5: 7,
        6: 3,
    }
    assert shares(3, {1: 5.0, 2: 3.0, 3: 1.0, 4: 1.0}) == {1: 2, 2: 1, 3: 0, 4: 0}
    assert shares(10, {1: 9.0, 2: 1.0}, {1: 4}) == {1: 4, 2: 6}
    assert shares(5, {1: 0.0, 2: 0.0}) == {1: 3, 2: 2}


@given(TOTALS, WEIGHTS, HELD)
def test_a_transfer_never_gives_what_is_not_free_nor_takes_what_is_not_held(
    total: int, weights: dict[int, float], held: dict[int, int]
) -> None:
    move = transfer(total, shares(total, weights), held)
    out = sum(held.values())
    assert sum(move.give.values()) <= max(0, total - out)
    assert all(0 < back <= held[key] for key, back in move.take.items())
    assert all(more > 0 for more in move.give.values())
    assert not move.take.keys() & move.give.keys()
    if out > total:
        assert out - sum(move.take.values()) <= max(0, total)


@given(st.integers(0, 500), WEIGHTS, HELD)
def test_taking_back_then_giving_leaves_nobody_under_half_of_its_share(
    total: int, weights: dict[int, float], held: dict[int, int]
) -> None:
    wanted, now = shares(total, weights), dict(held)
    for _ in range(2 * len(weights) + 3):  # every credit proven in between
        move = transfer(total, wanted, now)
        if not move:
            break
        for key, back in move.take.items():
            now[key] -= back
        for key, more in transfer(total, wanted, now).give.items():
            now[key] = now.get(key, 0) + more
    assert not transfer(total, wanted, now)
    assert all(2 * now.get(key, 0) >= want for key, want in wanted.items())
    assert sum(now.values()) <= total


def test_nothing_moves_while_everybody_holds_half_of_its_share() -> None:
    wanted = {1: 40, 2: 20, 3: 4}
    assert not transfer(64, wanted, {1: 20, 2: 10, 3: 2})
    assert transfer(64, wanted, {1: 19, 2: 40, 3: 5}).take == {2: 20, 3: 1}


def test_free_pieces_are_given_before_any_are_taken_back() -> None:
    move = transfer(60, {1: 30, 2: 30}, {1: 10, 2: 30})
    assert (move.take, move.give) == ({}, {1: 20})


# --- goals: the numbers to show -----------------------------------------------------------------------------------

HOLDERS = st.dictionaries(
    st.integers(1, 9),
    st.builds(
        lambda unread, bound, settled, whole, coming: Holder(
            max(0, bound - unread), bound, settled, whole, min(coming, max(0, bound))
        ),
        st.integers(0, 2), st.integers(-2, 80), st.booleans(), st.booleans(), st.integers(0, 80),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def cost(holder: Holder, goal: int) -> int:
    """What the guard asks for a goal: an absolute number in full, a change by its rise."""
    if goal == holder.believed:
        return 0
    return goal if holder.whole else max(0, goal - holder.believed)


@given(st.integers(-5, 500), HOLDERS)
def test_what_is_raised_is_paid_from_what_nobody_holds(total: int, holders: dict[int, Holder]) -> None:
    wanted = shares(total, dict.fromkeys(holders, 1.0))
    aims = goals(total, wanted, holders)
    out = sum(max(0, one.bound) for one in holders.values())
    assert sum(cost(one, aims[key]) for key, one in holders.items()) <= max(0, total - out)
    assert all(aim >= 0 for aim in aims.values())


@given(st.integers(-5, 500), HOLDERS)
def test_a_listing_that_waits_for_a_proof_is_left_alone(total: int, holders: dict[int, Holder]) -> None:
    aims = goals(total, shares(total, dict.fromkeys(holders, 1.0)), holders)
    assert all(aims[key] == one.believed for key, one in holders.items() if not one.settled)


def test_an_absolute_lowering_that_cannot_be_paid_is_a_drain() -> None:
    mirrored = {1: Holder(100, 100), 2: Holder(100, 100, whole=True)}
    assert goals(100, {1: 60, 2: 40}, mirrored) == {1: 60, 2: 0}
    drained = {1: Holder(60, 60), 2: Holder(0, 0, whole=True)}
    assert goals(100, {1: 60, 2: 40}, drained) == {1: 60, 2: 40}


def test_an_absolute_shop_is_filled_up_when_half_of_what_it_lacks_is_free() -> None:
    """Its number is paid in full, what it holds already included."""
    wanted = {1: 60, 2: 40}
    assert goals(100, wanted, {1: Holder(50, 50), 2: Holder(10, 10, whole=True)})[2] == 40
    assert goals(100, wanted, {1: Holder(60, 60), 2: Holder(10, 10, whole=True)})[2] == 30
    assert goals(82, wanted, {1: Holder(60, 60), 2: Holder(10, 10, whole=True)})[2] == 10


def test_what_is_on_its_way_back_is_not_taken_twice() -> None:
    on_its_way = {1: Holder(60, 60), 2: Holder(0, 0), 3: Holder(30, 40, settled=False, coming=10)}
    assert goals(100, {1: 50, 2: 10, 3: 40}, on_its_way) == {1: 60, 2: 0, 3: 30}
    nothing = {1: Holder(60, 60), 2: Holder(0, 0), 3: Holder(40, 40)}
    assert goals(100, {1: 50, 2: 10, 3: 40}, nothing) == {1: 50, 2: 0, 3: 40}
