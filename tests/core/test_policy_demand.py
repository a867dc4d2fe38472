"""Rates from booked orders, and blind windows from measured lags."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.demand import (
    FORGETS_AFTER,
    NO_DEMAND,
    TRUSTED_AFTER,
    WINDOWS_SECONDS,
    Assumed,
    Demand,
    Lag,
    Lags,
    Seller,
    blind_seconds,
    expected_blind,
    seen,
)

SECOND_US = 1_000_000
NOW = 1_700_000_000 * SECOND_US
SALES = st.lists(st.tuples(st.integers(0, 3_600), st.integers(1, 9)), min_size=1, max_size=40)


def sold_steadily(per_second: float, seconds: int, seed: int = 1) -> tuple[Demand, int]:
    chance, demand, now = random.Random(seed), NO_DEMAND, NOW
    while now < NOW + seconds * SECOND_US:
        now += int(chance.expovariate(per_second) * 1e6)
        demand = seen(demand, 1, now)
    return demand, now


@pytest.mark.parametrize(("window", "per_second", "tolerance"), [(0, 5.0, 0.35), (1, 2.0, 0.25), (2, 0.02, 0.15)])
def test_a_steady_rate_is_found_within_the_stated_error(window: int, per_second: float, tolerance: float) -> None:
    width = WINDOWS_SECONDS[window]
    demand, now = sold_steadily(per_second, int(width * 4))
    assert demand.rates(now)[window] == pytest.approx(per_second, rel=tolerance)


def test_the_error_is_that_of_a_flat_window() -> None:
    found = [d.rates(now)[1] for d, now in (sold_steadily(0.5, 600, seed) for seed in range(200))]
    mean = sum(found) / len(found)
    spread = (sum((one - mean) ** 2 for one in found) / len(found)) ** 0.5
    assert spread / mean == pytest.approx((0.5 * 120) ** -0.5, rel=0.25)


@given(SALES)
def test_a_counter_is_never_more_than_what_was_sold_and_only_fades(sales: list[tuple[int, int]]) -> None:
    demand, now, total = NO_DEMAND, NOW, 0
    for seconds, units in sales:
        now += seconds * SECOND_US
        demand, total = seen(demand, units, now), total + units
        assert all(0 < value <= total + 1e-9 for value in demand.faded(now))
    assert all(later <= at for later, at in zip(demand.faded(now + SECOND_US), demand.faded(now), strict=True))


@given(SALES, st.integers(1, 100))
def test_a_clock_that_runs_backwards_loses_no_sale(sales: list[tuple[int, int]], back: int) -> None:
    demand = NO_DEMAND
    for seconds, units in sales:
        demand = seen(demand, units, NOW + seconds * SECOND_US)
    again = seen(demand, 1, demand.at_us - back * SECOND_US)
    assert again.at_us == demand.at_us
    assert again.short == pytest.approx(demand.short + 1)


def test_one_order_is_no_burst_and_two_are() -> None:
    once = seen(NO_DEMAND, 1, NOW)
    assert expected_blind([Seller(once, 60)], NOW) == pytest.approx(60 / 43_200)
    twice = seen(once, 1, NOW)
    assert expected_blind([Seller(twice, 60)], NOW) == pytest.approx(2 / 15 * 60 / 2)


def test_a_burst_is_believed_at_once_and_forgotten_soon() -> None:
    demand = NO_DEMAND
    for i in range(20):
        demand = seen(demand, 1, NOW + i * SECOND_US)
    hot = expected_blind([Seller(demand, 60)], NOW + 20 * SECOND_US)
    assert hot > 30  # 1 a second x 60 s, on its way up
    assert expected_blind([Seller(demand, 60)], NOW + 900 * SECOND_US) < 0.1


def test_bundles_count_by_their_pieces_and_slow_shops_by_their_blind_window() -> None:
    demand, now = sold_steadily(0.1, 600)
    fast, slow, set_of_three = Seller(demand, 10), Seller(demand, 100), Seller(demand, 10, pieces=3)
    assert expected_blind([slow], now) == pytest.approx(10 * expected_blind([fast], now))
    assert expected_blind([fast, slow], now) > expected_blind([slow], now)
    assert expected_blind([set_of_three], now) > 3 * expected_blind([fast], now) * 0.99


# --- blind windows ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0.0, 20_000), min_size=TRUSTED_AFTER, max_size=FORGETS_AFTER), st.sampled_from([0.5, 0.95, 0.99])
)
def test_a_quantile_is_never_too_short_and_at_most_one_step_too_long(samples: list[float], share: float) -> None:
    lag = Lag()
    for one in samples:
        lag.add(one)
    true = sorted(samples)[max(0, -int(-share * len(samples) // 1) - 1)]
    assert true <= lag.quantile(share, 0.0) <= max(0.25, true * 2**0.5 * 1.0001)


def test_a_lag_is_assumed_until_enough_was_measured() -> None:
    lag = Lag()
    for _ in range(TRUSTED_AFTER - 1):
        lag.add(1.0)
    assert lag.quantile(0.95, 60.0) == 60.0
    lag.add(1.0)
    assert lag.quantile(0.95, 60.0) == pytest.approx(1.0)


def test_a_lag_forgets_a_bad_day() -> None:
    lag = Lag()
    for _ in range(200):
        lag.add(600.0)
    for _ in range(4_000):
        lag.add(2.0)
    assert lag.quantile(0.95, 0.0) < 3.0


def test_the_blind_window_is_the_sum_of_its_measured_and_assumed_parts() -> None:
    lags, assumed = Lags(), Assumed(visibility=60.0, poll=10.0, queue=5.0, apply=2.0)
    assert blind_seconds(lags, assumed) == 77.0
    for _ in range(100):
        lags.visibility.add(8.0)
    assert blind_seconds(lags, assumed) == pytest.approx(8.0 + 17.0)


def test_one_order_of_many_pieces_is_no_burst_and_a_second_one_is() -> None:
    once = seen(NO_DEMAND, 12, NOW)
    assert expected_blind([Seller(once, 60.0)], NOW) < 0.1
    twice = seen(once, 12, NOW + 5_000_000)
    assert expected_blind([Seller(twice, 60.0)], NOW + 5_000_000) > 5.0


def test_orders_that_waited_through_an_outage_are_no_burst() -> None:
    demand = NO_DEMAND
    for minute in range(60):
        demand = seen(demand, 1, NOW, NOW - minute * 3_600_000_000)
    assert expected_blind([Seller(demand, 60.0)], NOW) < 0.1
