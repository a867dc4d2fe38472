"""What an order's counts come to in the ledger: the pure rules (promise 2), before any row is written."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import ledger
from syncd.core.ledger import NEVER, NOTHING, Baseline, Booked
from syncd.model import Balance, Counts, LineState, OrderState, Returns, Source

units = st.integers(0, 9)
counts = st.builds(Counts, units, units, units, units)
pieces = st.dictionaries(st.integers(1, 4), st.integers(1, 6), min_size=1, max_size=3)


def state(*lines: LineState, complete: bool = True, source: Source = Source.API) -> OrderState:
    return OrderState(number="1", lines=lines, complete=complete, source=source)


def line(name: str, ordered: int, **more: int) -> LineState:
    return LineState(line=name, listing="mug", ordered=ordered, **more)


# --- what is booked of counts ---------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(counts, st.booleans()), min_size=1, max_size=6), pieces, st.sampled_from(Returns))
def test_the_entries_of_any_history_add_up_to_the_last_state_alone(
    history: list[tuple[Counts, bool]], each: dict[int, int], returns: Returns
) -> None:
    total: dict[int, list[int]] = {sku: [0, 0, 0] for sku in each}
    booked = NOTHING
    for now, opened in history:
        after = ledger.booked_now(now, opened=opened, returns=returns, ignored=0)
        for one in ledger.changes(each, booked, after, inside_opening={}):
            total[one.sku] = [
                a + b for a, b in zip(total[one.sku], (one.on_hand, one.ordered, one.allocated), strict=True)
            ]
        booked = after
    last, opened = history[-1]
    final = ledger.booked_now(last, opened=opened, returns=returns, ignored=0)
    for sku, count in each.items():
        assert total[sku] == [-final.gone * count, final.held * count, final.allocated * count]


@settings(max_examples=200, deadline=None)
@given(counts, st.booleans(), st.sampled_from(Returns), units)
def test_held_units_are_in_one_place_and_what_is_put_back_never_exceeds_what_left(
    now: Counts, opened: bool, returns: Returns, ignored: int
) -> None:
    booked = ledger.booked_now(now, opened=opened, returns=returns, ignored=ignored)
    assert booked.held + booked.allocated == max(0, now.ordered - now.cancelled - now.shipped)
    assert booked.held == 0 or booked.allocated == 0
    assert -ignored <= booked.gone <= now.shipped
    if returns is Returns.NEVER:
        assert booked.gone == max(0, now.shipped - ignored)


def test_a_repeated_state_makes_no_entry() -> None:
    booked = ledger.booked_now(Counts(3, 1, 1), opened=False, returns=Returns.NEVER, ignored=0)
    assert ledger.changes({7: 2}, booked, booked, inside_opening={}) == []


@pytest.mark.parametrize(
    ("now", "opened", "returns", "on_hand", "ordered", "allocated"),
    [
        (Counts(3), False, Returns.NEVER, 0, 3, 0),
        (Counts(3), True, Returns.NEVER, 0, 0, 3),
        (Counts(3, cancelled=1), False, Returns.NEVER, 0, 2, 0),
        (Counts(3, cancelled=3), False, Returns.NEVER, 0, 0, 0),
        (Counts(3, shipped=2), True, Returns.NEVER, -2, 0, 1),
        (Counts(3, shipped=3), True, Returns.NEVER, -3, 0, 0),
        (Counts(3, shipped=3, returned=2), True, Returns.BACK, -1, 0, 0),
        (Counts(3, shipped=3, returned=2), True, Returns.NEVER, -3, 0, 0),
        (Counts(3, shipped=1, returned=3), True, Returns.BACK, 0, 0, 2),
        (Counts(3, cancelled=3, shipped=3), False, Returns.NEVER, -3, 0, 0),
    ],
)
def test_each_situation_of_an_order_holds_and_takes_off_what_it_must(
    now: Counts, opened: bool, returns: Returns, on_hand: int, ordered: int, allocated: int
) -> None:
    booked = ledger.booked_now(now, opened=opened, returns=returns, ignored=0)
    total = Balance()
    for one in ledger.changes({1: 1}, NOTHING, booked, inside_opening={}):
        total = total + Balance(one.on_hand, one.ordered, one.allocated)
    assert total == Balance(on_hand, ordered, allocated)


@pytest.mark.parametrize("name", ["ordered", "cancelled", "shipped", "returned"])
@pytest.mark.parametrize("value", [-1, ledger.MOST_UNITS + 1])
def test_absurd_counts_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ledger.CountsError, match=f"line 7: {name} = {value}"):
        ledger.check_counts("7", replace(Counts(), **{name: value}))


# --- which state counts ------------------------------------------------------------------------------------------


def test_an_older_state_is_ignored_and_an_equally_old_one_is_not() -> None:
    assert ledger.is_older(9, Source.API, 10, Source.API)
    assert not ledger.is_older(10, Source.API, 10, Source.API)


@pytest.mark.parametrize(("weak", "strong"), [(Source.MAIL, Source.FILE), (Source.FILE, Source.API)])
def test_the_stronger_source_wins_whatever_the_times(weak: Source, strong: Source) -> None:
    assert ledger.is_older(99, weak, 1, strong)
    assert not ledger.is_older(1, strong, 99, weak)


def test_a_missing_line_means_nothing_only_in_a_complete_state() -> None:
    known = {"1": Counts(2), "2": Counts(3)}
    assert ledger.counts_now(known, state(line("1", 5)), replaces=False) == {"1": Counts(5), "2": Counts()}
    page = state(line("1", 5), complete=False)
    assert ledger.counts_now(known, page, replaces=False) == {"1": Counts(5), "2": Counts(3)}


def test_a_stronger_source_replaces_the_lines_as_a_whole_even_page_by_page() -> None:
    known = {"mail-1": Counts(2)}
    page = state(line("1", 2), complete=False)
    assert ledger.counts_now(known, page, replaces=True) == {"mail-1": Counts(), "1": Counts(2)}


def test_a_shop_without_shipments_ships_at_the_order_or_after_its_days() -> None:
    placed = 50 * ledger.DAY_US
    order = Counts(5, cancelled=2)
    assert ledger.as_shipped(order, "reported", placed, 2**60) == order
    assert ledger.as_shipped(order, "at_order", None, 0).shipped == 3
    assert ledger.as_shipped(order, "after 3", placed, placed + 3 * ledger.DAY_US - 1) == order
    assert ledger.as_shipped(order, "after 3", placed, placed + 3 * ledger.DAY_US).shipped == 3
    assert ledger.as_shipped(order, "after 3", None, 2**60) == order
    assert ledger.as_shipped(Counts(5, 2, 4), "at_order", None, 0).shipped == 4


# --- openings and counts --------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 50), st.integers(-9, 50), units, units)
def test_an_opening_leaves_its_number_free_and_a_count_leaves_its_number_on_hand(
    number: int, on_hand: int, ordered: int, allocated: int
) -> None:
    before = Balance(on_hand, ordered, allocated)
    opened = before + Balance(ledger.opening(number, before))
    assert opened.free == number
    counted = before + Balance(ledger.count(number, before))
    assert (counted.on_hand, counted.ordered, counted.allocated) == (number, ordered, allocated)


@settings(max_examples=200, deadline=None)
@given(st.lists(counts, min_size=1, max_size=5), st.booleans(), st.sampled_from(Returns))
def test_an_order_placed_before_the_opening_and_first_read_later_never_moves_what_the_opening_left_free(
    history: list[Counts], opened: bool, returns: Returns
) -> None:
    """The opening's number was free of it already, so its holding or shipping takes nothing more."""
    baselines = {1: Baseline(opened_us=100)}
    first = history[0]
    booked = ledger.booked_now(first, opened=opened, returns=Returns.NEVER, ignored=0)
    inside = ledger.units_inside_opening(first, 0, baselines, existed_us=100)
    free = sum(one.free for one in ledger.changes({1: 1}, NOTHING, booked, inside_opening=inside))
    if first.shipped <= first.ordered - first.cancelled:
        assert free == 0
    assert ledger.units_inside_opening(first, 0, baselines, existed_us=101) == {}
    for now in history[1:]:
        after = ledger.booked_now(now, opened=opened, returns=returns, ignored=0)
        free += sum(one.free for one in ledger.changes({1: 1}, booked, after, inside_opening={}))
        booked = after
    assert free == inside.get(1, 0) - booked.gone - booked.held - booked.allocated


def test_units_shipped_before_a_count_are_not_taken_off_again() -> None:
    counted = [Baseline(counted_us=100)]
    assert ledger.ignored_now(NOTHING, Counts(), Counts(3, shipped=2), counted, left_us=100) == 2
    assert ledger.ignored_now(NOTHING, Counts(), Counts(3, shipped=2), counted, left_us=101) == 0
    assert ledger.ignored_now(NOTHING, Counts(), Counts(3, shipped=2), [NEVER], left_us=1) == 0


def test_units_stay_ignored_while_later_ones_are_taken_off() -> None:
    counted = [Baseline(counted_us=100)]
    first = Counts(3, shipped=1)
    booked = ledger.booked_now(first, opened=True, returns=Returns.NEVER, ignored=1)
    later = Counts(3, shipped=3)
    ignored = ledger.ignored_now(booked, first, later, counted, left_us=200)
    assert ignored == 1
    assert ledger.booked_now(later, opened=True, returns=Returns.NEVER, ignored=ignored).gone == 2


def test_a_shipment_taken_back_also_takes_back_what_was_ignored() -> None:
    booked = Booked(ignored=2)
    assert ledger.ignored_now(booked, Counts(3, shipped=2), Counts(3, shipped=1), [NEVER], left_us=0) == 1


def test_units_are_ignored_only_when_every_part_was_counted_after_they_left() -> None:
    half = [Baseline(counted_us=100), NEVER]
    assert ledger.ignored_now(NOTHING, Counts(), Counts(1, shipped=1), half, left_us=50) == 0


# --- bundles -----------------------------------------------------------------------------------------------------


def test_nested_bundles_come_apart_into_plain_pieces() -> None:
    parts = {1: {2: 2, 3: 1}, 2: {3: 3, 4: 1}}
    assert ledger.expand(1, 5, parts) == {3: 5 * (2 * 3 + 1), 4: 10}
    assert ledger.expand(9, 4, parts) == {9: 4}


def test_a_bundle_that_contains_itself_is_named() -> None:
    with pytest.raises(ValueError, match="1 > 2 > 1"):
        ledger.expand(1, 1, {1: {2: 1}, 2: {1: 1}})
    assert ledger.find_cycle({"a": {"b": 1}, "b": {"c": 1, "d": 1}, "d": {"b": 1}}) == ("b", "d", "b")
    assert ledger.find_cycle({"a": {"a": 1}}) == ("a", "a")
    assert ledger.find_cycle({"a": {"b": 1, "c": 1}, "b": {"d": 1}, "c": {"d": 1}}) is None


graphs = st.dictionaries(
    st.integers(0, 5), st.dictionaries(st.integers(0, 5), st.integers(1, 3), min_size=1, max_size=3), max_size=5
)


@settings(max_examples=200, deadline=None)
@given(graphs)
def test_a_cycle_is_found_exactly_where_expanding_would_not_end(graph: dict[int, dict[int, int]]) -> None:
    named = {str(bundle): {str(part): n for part, n in inside.items()} for bundle, inside in graph.items()}
    endless = []
    for bundle in graph:
        try:
            once = ledger.expand(bundle, 1, graph)
            assert ledger.expand(bundle, 3, graph) == {sku: 3 * n for sku, n in once.items()}
            assert not once.keys() & graph.keys()
        except ValueError:
            endless.append(bundle)
    cycle = ledger.find_cycle(named)
    assert (cycle is not None) == bool(endless)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in named[before] for before, after in pairwise(cycle))
