"""The token bucket: never faster than the documented rate, and never slower than it need be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.budget import Bucket, Window

rates = st.floats(0.1, 50)
costs = st.lists(st.tuples(st.floats(0.1, 12), st.floats(0, 5)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(rates, st.floats(1, 20), st.floats(0.3, 1), costs)
def test_no_window_of_time_ever_holds_more_than_burst_and_rate_allow(
    per_second: float, burst: float, margin: float, calls: list[tuple[float, float]]
) -> None:
    bucket = Bucket(per_second, burst, margin)
    left: list[tuple[float, float]] = []
    now = 0.0
    for cost, pause in calls:
        now = bucket.ready_at(cost, now + pause)
        bucket.take(cost, now)
        left.append((now, cost))
    for i, (began, _) in enumerate(left):
        used = 0.0
        for at, cost in left[i:]:
            most = burst + (at - began) * per_second * margin
            assert used <= most + 1e-6  # what left before this call fits its window,
            used += cost
            over = max((one for _, one in left[i:]), default=0.0)
            assert used <= most + max(0.0, over - burst) + 1e-6  # and with it, unless one call alone is too large


@settings(max_examples=200, deadline=None)
@given(rates, st.floats(1, 5), st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 2), st.floats(0, 2)), min_size=1))
def test_a_call_that_leaves_late_in_its_slot_is_counted_when_it_leaves(
    per_second: float, burst: float, calls: list[tuple[float, float, float]]
) -> None:
    """Each call holds its slot for a while; others, of the same cost, leave meanwhile as soon as they may."""
    bucket, left, now = Bucket(per_second, burst), list[tuple[float, float]](), 0.0
    for cost, pause, late in calls:
        now = bucket.ready_at(cost, now + pause)
        bucket.hold(cost)
        other = bucket.ready_at(cost, now)
        if other <= now + late:
            other = max(now, other)
            if bucket.ready_at(cost, other) <= other:
                bucket.take(cost, other)
                left.append((other, cost))
        now += late
        bucket.release(cost)
        assert bucket.ready_at(cost, now) <= now + 1e-6  # the slot was kept for it
        bucket.take(cost, now)
        left.append((now, cost))
    for i, (began, _) in enumerate(left):
        used = 0.0
        for at, cost in left[i:]:
            used += cost
            assert used <= burst + (at - began) * per_second + 1e-6


@settings(max_examples=200, deadline=None)
@given(rates, st.floats(1, 20), costs, st.floats(0.1, 12))
def test_a_call_waits_no_longer_than_it_must(
    per_second: float, burst: float, calls: list[tuple[float, float]], cost: float
) -> None:
    bucket = Bucket(per_second, burst)
    now = 0.0
    for one, pause in calls:
        now = bucket.ready_at(one, now + pause)
        bucket.take(one, now)
    ready = bucket.ready_at(cost, now)
    assert ready >= now
    if ready > now + 1e-6:
        early = now + (ready - now) * 0.99
        assert bucket.ready_at(cost, early) > early
    assert math.isclose(bucket.ready_at(cost, ready), ready, abs_tol=1e-6)


def test_a_full_bucket_lets_a_burst_go_at_once_and_then_keeps_the_rate() -> None:
    bucket = Bucket(2.0, 3.0)
    gone = []
    now = 0.0
    for _ in range(6):
        now = bucket.ready_at(1.0, now)
        bucket.take(1.0, now)
        gone.append(now)
    assert gone == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5])


def test_a_call_larger_than_the_bucket_waits_for_a_full_one_and_is_paid_back() -> None:
    bucket = Bucket(1.0, 4.0)
    assert bucket.ready_at(9.0, 0.0) == 0.0
    bucket.take(9.0, 0.0)
    assert bucket.ready_at(1.0, 0.0) == pytest.approx(6.0)


def test_the_margin_keeps_away_from_a_limit_that_punishes() -> None:
    bucket = Bucket(2.0, 1.0, margin=0.5)
    bucket.take(1.0, 0.0)
    assert bucket.ready_at(1.0, 0.0) == pytest.approx(1.0)


def test_what_the_shop_says_is_left_is_believed() -> None:
    bucket = Bucket(1.0, 10.0)
    bucket.feed(2.0, 0.0, None, None)
    assert bucket.ready_at(5.0, 0.0) == pytest.approx(3.0)
    bucket.feed(500.0, 1.0, 2.0, 20.0)
    assert bucket.level == 20.0
    assert bucket.rate == 2.0
    bucket.feed(5.0, 1.0, 0.0, 0.0)  # senseless limits are not taken over
    assert (bucket.rate, bucket.burst) == (2.0, 20.0)


def test_a_refusal_for_speed_blocks_and_empties_the_bucket() -> None:
    bucket = Bucket(1.0, 5.0)
    bucket.block(4.0, 10.0)
    assert bucket.ready_at(1.0, 10.0) == pytest.approx(14.0)
    bucket.block(1.0, 11.0)  # a shorter one does not end it early
    assert bucket.ready_at(1.0, 11.0) == pytest.approx(14.0)


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = Bucket(1.0, 5.0, at=100.0)
    bucket.take(5.0, 100.0)
    bucket.take(0.0, 50.0)
    assert bucket.level == 0.0
    assert bucket.ready_at(1.0, 101.0) == pytest.approx(101.0)


def test_a_rate_alone_leaves_what_is_left_as_counted() -> None:
    bucket = Bucket(1.0, 10.0)
    bucket.take(8.0, 0.0)
    bucket.feed(None, 1.0, 2.0, None)
    assert (bucket.level, bucket.rate, bucket.burst) == (3.0, 2.0, 10.0)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), st.floats(1, 300), st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_sliding_window_never_holds_more_calls_than_it_may_and_no_call_waits_longer_than_it_must(
    most: int, seconds: float, pauses: list[float]
) -> None:
    bucket = Window(most / seconds, most, seconds=seconds)
    left: list[float] = []
    now = 0.0
    for pause in pauses:
        asked = now + pause
        now = bucket.ready_at(1, asked)
        bucket.take(1, now)
        soonest = left[-most] + seconds if len(left) >= most else 0.0
        assert now == pytest.approx(max(asked, soonest))
        left.append(now)


def test_slot_held_in_a_window_is_nobody_elses() -> None:
    bucket = Window(2 / 300, 2, seconds=300)
    bucket.take(1, 0.0)
    bucket.hold(1)
    assert bucket.ready_at(1, 1.0) == 300.0
    bucket.release(1)
    assert bucket.ready_at(1, 1.0) == 1.0


def test_window_that_may_not_be_taken_as_empty_begins_as_if_it_had_just_been_used() -> None:
    bucket = Window(5 / 300, 5, margin=0.5, level=0.0, at=10.0, seconds=300)
    assert bucket.left(10.0) == 0
    assert bucket.ready_at(1, 10.0) == 610.0, "half of the rate is a window twice as long"
    assert bucket.rate == pytest.approx(5 / 600)
