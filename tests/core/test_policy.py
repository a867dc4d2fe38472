"""The policy of a SKU: the operator's word, the table by m, modes that stick, sales."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.policy import (
    AUTO,
    HOLD_US,
    LEAVE_ESCROW,
    UNDECIDED,
    Decision,
    Kind,
    Mode,
    Policy,
    PolicyError,
    decide,
    escrow_at,
    next_change_us,
    parse,
    reserve_of,
)

SECOND_US = 1_000_000
NOW = 1_700_000_000 * SECOND_US


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("auto", Policy()),
        (" Mirror ", Policy(Kind.MIRROR)),
        ("mirror+reserve 2", Policy(Kind.MIRROR, 2)),
        ("mirror + reserve 12", Policy(Kind.MIRROR, 12)),
        ("escrow", Policy(Kind.ESCROW)),
    ],
)
def test_a_policy_is_read_as_an_operator_writes_it(text: str, policy: Policy) -> None:
    assert parse(text) == policy
    assert parse(str(policy)) == policy


@pytest.mark.parametrize(
    "text", ["", "fast", "auto+reserve 2", "escrow+reserve 1", "mirror+reserve", "mirror+reserve -1"]
)
def test_a_policy_that_cannot_be_is_refused_with_what_can_be(text: str) -> None:
    with pytest.raises(PolicyError, match="mirror"):
        parse(text)


def test_a_sale_needs_a_start_before_its_end() -> None:
    with pytest.raises(PolicyError, match="both"):
        Policy(sale_from_us=1)
    with pytest.raises(PolicyError, match="after"):
        Policy(sale_from_us=2, sale_until_us=2)


@pytest.mark.parametrize(
    ("m", "free", "mode", "reserve"),
    [
        (0.0, 5, Mode.MIRROR, 0),
        (0.1, 2, Mode.MIRROR, 0),
        (0.3, 100, Mode.RESERVE, 1),
        (5.0, 100, Mode.RESERVE, 9),
        (20.0, 100, Mode.RESERVE, 28),
        (20.0, 79, Mode.ESCROW, 0),
        (0.3, 5, Mode.ESCROW, 0),
    ],
)
def test_auto_follows_the_table(m: float, free: int, mode: Mode, reserve: int) -> None:
    found = decide(AUTO, free, m, NOW)
    assert (found.mode, found.reserve, found.since_us) == (mode, reserve, 0 if mode is Mode.MIRROR else NOW)
    assert found.shown(free) == free - reserve


def test_low_stock_jumps_the_queue_and_is_watched() -> None:
    assert decide(AUTO, 3, 0.0, NOW).jumps
    assert decide(AUTO, 3, 0.0, NOW).watched
    assert not decide(AUTO, 4, 0.0, NOW).jumps
    assert decide(Policy(Kind.MIRROR), 40, 20.0, NOW).watched
    assert not decide(Policy(Kind.MIRROR), 41, 20.0, NOW).watched


def test_a_fixed_reserve_is_kept_whatever_the_rate_is() -> None:
    found = decide(Policy(Kind.MIRROR, 3), 10, 50.0, NOW)
    assert (found.mode, found.shown(10), found.shown(2)) == (Mode.RESERVE, 7, 0)


@given(st.floats(0, 200), st.integers(-5, 1000))
def test_an_operators_word_holds_at_every_rate(m: float, free: int) -> None:
    assert decide(Policy(Kind.MIRROR), free, m, NOW).mode is Mode.MIRROR
    assert decide(Policy(Kind.ESCROW), free, m, NOW).mode is Mode.ESCROW


@given(st.floats(0.3, 200))
def test_the_reserve_covers_what_is_sold_unseen_and_escrow_begins_before_it_bites(m: float) -> None:
    assert reserve_of(m) >= math.floor(m)
    assert escrow_at(m) > reserve_of(m)


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 300), st.integers(0, 5)), max_size=60))
def test_a_mode_is_held_for_its_time_unless_stock_forces_escrow(turns: list[tuple[float, int, int]]) -> None:
    before, now = UNDECIDED, NOW
    for m, free, seconds in turns:
        now += seconds * SECOND_US
        found = decide(AUTO, free, m, now, before)
        if found.mode is not before.mode and before.mode is not Mode.MIRROR:
            forced = found.mode is Mode.ESCROW and m >= 0.3 and free <= escrow_at(m)
            assert forced or now - before.since_us >= HOLD_US
        assert found.since_us == (before.since_us if found.mode is before.mode else now)
        before = found


@given(st.floats(0.16, 30), st.floats(0, 1))
def test_between_the_lines_a_mode_stays_what_it_is(m: float, place: float) -> None:
    old = NOW - 10 * HOLD_US
    between = math.ceil(escrow_at(m) + place * (LEAVE_ESCROW - 1) * escrow_at(m) * 0.99)
    if escrow_at(m) < between <= LEAVE_ESCROW * escrow_at(m):
        assert decide(AUTO, between, m, NOW, Decision(Mode.ESCROW, since_us=old)).mode is Mode.ESCROW
        assert decide(AUTO, between, m, NOW, Decision(Mode.RESERVE, since_us=old)).mode is Mode.RESERVE
    assert decide(AUTO, 1000, 0.2, NOW, Decision(Mode.MIRROR)).mode is Mode.MIRROR


def test_what_cooled_down_goes_back_to_a_plain_mirror() -> None:
    old = NOW - 2 * HOLD_US
    assert decide(AUTO, 5, 0.01, NOW, Decision(Mode.ESCROW, since_us=old)).mode is Mode.MIRROR
    assert decide(AUTO, 500, 0.01, NOW, Decision(Mode.RESERVE, 1, since_us=old)).mode is Mode.MIRROR
    assert decide(AUTO, 500, 3.0, NOW, Decision(Mode.ESCROW, since_us=old)).mode is Mode.RESERVE


def test_a_sale_is_escrow_from_before_its_start_until_after_its_end() -> None:
    policy = Policy(Kind.MIRROR, sale_from_us=NOW, sale_until_us=NOW + 600 * SECOND_US)
    drain = 60 * SECOND_US
    modes = [decide(policy, 50, 0.0, NOW + at * SECOND_US, drain_us=drain).mode for at in (-61, -60, 0, 600, 659, 660)]
    assert modes == [Mode.MIRROR, Mode.ESCROW, Mode.ESCROW, Mode.ESCROW, Mode.ESCROW, Mode.MIRROR]
    assert next_change_us(policy, NOW - 100 * SECOND_US, drain_us=drain) == NOW - drain
    assert next_change_us(policy, NOW, drain_us=drain) == NOW + 600 * SECOND_US + drain
    assert next_change_us(policy, NOW + 700 * SECOND_US, drain_us=drain) is None


def test_a_sale_of_an_auto_sku_ends_without_the_wait_of_the_hysteresis() -> None:
    policy = Policy(sale_from_us=NOW, sale_until_us=NOW + SECOND_US)
    last = decide(policy, 50, 0.0, NOW)
    assert last.sale
    assert decide(policy, 50, 0.0, NOW + SECOND_US, last).mode is Mode.MIRROR


def test_a_mode_that_only_time_ends_names_the_time() -> None:
    before = Decision(Mode.RESERVE, 1, since_us=NOW)
    assert next_change_us(AUTO, NOW + SECOND_US, before) == NOW + HOLD_US
    assert next_change_us(AUTO, NOW + 2 * HOLD_US, before) == NOW + 2 * HOLD_US + HOLD_US // 2
    assert next_change_us(AUTO, NOW, UNDECIDED) is None
