"""The rule chain, step by step and scope by scope, and the lanes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import planner
from syncd.core.fence import Shown
from syncd.core.planner import Rule
from syncd.model import Balance, Lane

SHOP, OTHER_SHOP = 3, 4
MUG, SET, BOX, LID = 10, 20, 30, 40
MOST = 99_999
Rules = dict[tuple[str, int, int], int]


def shows(
    free: int | Mapping[int, int],
    rules: Rules | None = None,
    *,
    sku: int = MUG,
    shop: int = SHOP,
    parts: Mapping[int, Mapping[int, int]] | None = None,
    pack: int = 1,
    most: int = MOST,
) -> int:
    numbers = {sku: free} if isinstance(free, int) else free
    pieces = planner.sellable(sku, shop, lambda one: Balance(numbers[one]), parts or {}, rules or {})
    return planner.finish(pieces, sku, shop, pack, most, rules or {})


@pytest.mark.parametrize(
    ("scope", "value"), [((0, 0), 1), ((SHOP, 0), 2), ((0, MUG), 3), ((SHOP, MUG), 4), ((OTHER_SHOP, MUG), None)]
)
@pytest.mark.parametrize("rule", list(Rule))
def test_the_narrowest_scope_that_is_set_wins(rule: Rule, scope: tuple[int, int], value: int | None) -> None:
    order = [(0, 0), (SHOP, 0), (0, MUG), (SHOP, MUG)]
    wider = order[: order.index(scope) + 1] if scope in order else [scope]
    table = {(str(rule), *one): number for number, one in enumerate(wider, 1)}
    assert planner.rule_of(table, rule, SHOP, MUG) == value


def test_a_narrow_zero_overrides_a_wide_value() -> None:
    rules: Rules = {("hold_back", 0, 0): 5, ("hold_back", SHOP, MUG): 0}
    assert shows(8, rules) == 8
    assert shows(8, rules, shop=OTHER_SHOP) == 3


def test_hold_back_is_taken_off_before_the_share() -> None:
    assert shows(11, {("hold_back", 0, 0): 1, ("share", SHOP, 0): 55}) == 5


def test_the_share_is_rounded_down_before_the_pack_size() -> None:
    assert shows(11, {("share", 0, MUG): 50}, pack=2) == 2
    assert shows(11, {("share", 0, MUG): 0}) == 0


@pytest.mark.parametrize(("free", "shown"), [(7, 7), (3, 3), (2, 0), (0, 0), (-4, 0)])
def test_below_the_floor_nothing_is_shown(free: int, shown: int) -> None:
    assert shows(free, {("floor", 0, 0): 3}) == shown


def test_the_floor_is_compared_after_the_pack_size() -> None:
    assert shows(11, {("floor", 0, 0): 3}, pack=4) == 0
    assert shows(12, {("floor", 0, 0): 3}, pack=4) == 3


def test_the_cap_and_the_channels_own_limit_both_hold() -> None:
    assert shows(50, {("cap", SHOP, 0): 9}) == 9
    assert shows(50, {("cap", SHOP, 0): 90}, most=30) == 30
    assert shows(50, {("cap", SHOP, 0): 0}) == 0


def test_a_negative_hold_back_shows_stock_on_its_way() -> None:
    assert shows(0, {("hold_back", 0, MUG): -4}) == 4


def test_oversold_stock_shows_zero_and_is_never_wrapped() -> None:
    assert shows(-3) == 0
    assert shows(-3, {("share", 0, 0): 50}, pack=2) == 0


def test_a_bundle_is_the_least_of_the_final_numbers_of_its_parts() -> None:
    parts = {SET: {MUG: 1, BOX: 2}}
    assert shows({MUG: 5, BOX: 9}, sku=SET, parts=parts) == 4
    held: Rules = {("hold_back", 0, MUG): 2}
    assert shows({MUG: 5, BOX: 9}, held, sku=SET, parts=parts) == 3
    assert shows({MUG: 5, BOX: 9}, {("hold_back", 0, BOX): 1}, sku=SET, parts=parts) == 4


def test_a_part_that_is_oversold_makes_the_bundle_negative_not_zero() -> None:
    parts = {SET: {MUG: 1, BOX: 2}}
    numbers = {MUG: 5, BOX: -3}
    assert planner.sellable(SET, SHOP, lambda one: Balance(numbers[one]), parts, {}) == -2
    assert shows(numbers, sku=SET, parts=parts) == 0


def test_the_hold_back_of_the_parts_is_not_taken_off_the_bundle_again() -> None:
    parts = {SET: {MUG: 1}}
    assert shows({MUG: 10}, {("hold_back", 0, 0): 2}, sku=SET, parts=parts) == 8
    assert shows({MUG: 10}, {("hold_back", 0, 0): 2, ("hold_back", 0, SET): 3}, sku=SET, parts=parts) == 5
    both: Rules = {("hold_back", SHOP, SET): 0, ("hold_back", 0, SET): 3}
    assert shows({MUG: 10}, both, sku=SET, parts=parts) == 10


def test_share_and_cap_of_a_part_do_not_touch_the_bundle() -> None:
    parts = {SET: {MUG: 1}}
    assert shows({MUG: 10}, {("share", 0, MUG): 10, ("cap", 0, MUG): 1}, sku=SET, parts=parts) == 10
    assert shows({MUG: 10}, {("share", 0, SET): 50, ("cap", 0, SET): 3}, sku=SET, parts=parts) == 3


def test_nested_bundles_are_least_over_least() -> None:
    parts = {SET: {BOX: 1, LID: 1}, BOX: {MUG: 3}}
    assert shows({MUG: 10, LID: 5}, sku=SET, parts=parts) == 3


numbers = st.integers(-50, 200)


@settings(max_examples=300, deadline=None)
@given(
    numbers, numbers, st.integers(1, 4), st.integers(1, 5), st.integers(0, 100), st.integers(0, 9), st.integers(0, 60),
    st.integers(-5, 5),
)  # fmt: skip
def test_what_is_shown_can_always_be_delivered(
    mugs: int, boxes: int, each: int, pack: int, share: int, floor: int, cap: int, kept: int
) -> None:
    rules: Rules = {("share", 0, 0): share, ("floor", 0, 0): floor, ("cap", 0, 0): cap, ("hold_back", 0, 0): kept}
    shown = shows({MUG: mugs, BOX: boxes}, rules, sku=SET, parts={SET: {MUG: 1, BOX: each}}, pack=pack)
    assert 0 <= shown <= cap
    assert shown == 0 or shown >= min(floor, cap)
    assert shown * pack <= max(0, mugs - kept)
    assert shown * pack * each <= max(0, boxes - kept)
    assert shown * pack * 100 <= max(0, min(mugs - kept, (boxes - kept) // each)) * share


@settings(max_examples=200, deadline=None)
@given(numbers, st.integers(0, 20), st.integers(1, 5), st.integers(0, 100), st.integers(0, 9))
def test_more_stock_never_shows_less(free: int, more: int, pack: int, share: int, floor: int) -> None:
    rules: Rules = {("share", 0, 0): share, ("floor", 0, 0): floor}
    assert shows(free + more, rules, pack=pack) >= shows(free, rules, pack=pack)


def test_the_explanation_ends_in_the_number_shown_and_names_each_step_that_did_something() -> None:
    rules: Rules = {("hold_back", 0, 0): 3, ("share", 0, 0): 50, ("floor", 0, 0): 2, ("cap", 0, 0): 4}
    said: list[tuple[str, int]] = []

    def say(name: str, number: int, _setting: str) -> None:
        said.append((name, number))

    pieces = planner.sellable(MUG, SHOP, lambda _one: Balance(30, 2, 1), {}, rules, say)
    shown = planner.finish(pieces, MUG, SHOP, 2, MOST, rules, say)
    assert said == [
        ("on hand", 30), ("free", 27), ("hold-back", 24), ("share", 12), ("pack size", 6), ("cap", 4),
    ]  # fmt: skip
    assert shown == 4


@pytest.mark.parametrize(
    ("target", "before", "believed", "lane"),
    [
        (0, 5, 3, Lane.STOCKOUT),
        (0, None, 3, Lane.STOCKOUT),
        (0, 5, 0, Lane.BATCH),
        (0, 5, None, Lane.STOCKOUT),
        (0, 0, None, Lane.BATCH),
        (0, None, None, Lane.BATCH),
        (1, 5, 3, Lane.BATCH),
        (7, 0, 0, Lane.BATCH),
    ],
)
def test_a_listing_that_must_go_to_zero_and_shows_more_jumps_ahead(
    target: int, before: int | None, believed: int | None, lane: Lane
) -> None:
    assert planner.lane_of(target, before, Shown(believed)) is lane


def test_a_push_is_needed_while_the_number_differs_or_nobody_knows_it() -> None:
    assert not planner.needs_push(None, Shown(5))
    assert not planner.needs_push(5, Shown(5))
    assert planner.needs_push(5, Shown(4))
    assert planner.needs_push(5, Shown())
    assert planner.needs_push(5, Shown(5, doubt_us=9))


@given(st.integers(0, 2**53), st.integers(1, 10**9))
def test_the_next_batch_turn_is_ahead_by_at_most_one_interval(now: int, every: int) -> None:
    tick = planner.next_tick_us(now, every)
    assert now < tick <= now + every
    assert tick % every == 0
