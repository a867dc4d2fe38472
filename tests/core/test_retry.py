"""Waiting after failures, the circuit, and the search for a poisoned row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.retry import (
    CLOSED_CIRCUIT,
    FIRST_SECONDS,
    LONGEST_SECONDS,
    OPENS_AFTER,
    back_off_seconds,
    smaller_call,
)


@given(st.integers(1, 10_000))
def test_the_wait_doubles_up_to_the_longest(failures: int) -> None:
    wait = back_off_seconds(failures)
    assert wait == min(LONGEST_SECONDS, 2 * back_off_seconds(failures - 1)) or failures == 1
    assert FIRST_SECONDS <= wait <= LONGEST_SECONDS


def test_no_failure_is_no_wait() -> None:
    assert back_off_seconds(0) == 0.0
    assert back_off_seconds(1) == FIRST_SECONDS
    assert back_off_seconds(3, first=30.0, longest=100.0) == 100.0


def test_the_circuit_opens_after_its_failures_and_waits_as_the_shop_asks() -> None:
    circuit = CLOSED_CIRCUIT
    for turn in range(1, OPENS_AFTER + 1):
        assert not circuit.is_open
        circuit = circuit.failed(0)
        assert circuit.until_us == back_off_seconds(turn) * 1_000_000
    assert circuit.is_open
    assert circuit.failed(10, after_seconds=2.5).until_us == 10 + 2_500_000
    assert circuit.failed(0, after_seconds=0.0).until_us == 0


def test_jitter_lengthens_a_wait_of_our_own_only() -> None:
    assert CLOSED_CIRCUIT.failed(0, jitter=0.5).until_us == 1_500_000
    assert CLOSED_CIRCUIT.failed(0, after_seconds=1.0, jitter=0.5).until_us == 1_000_000


def test_maintenance_is_waited_for_without_counting_as_a_failure() -> None:
    waiting = CLOSED_CIRCUIT.failed(0).waits(7_000_000)
    assert (waiting.failures, waiting.until_us) == (1, 7_000_000)
    assert waiting.waits(5).until_us == 7_000_000


@given(st.integers(1, 2000), st.data())
def test_bisection_finds_the_poisoned_row_in_a_logarithm_of_calls(rows: int, data: st.DataObject) -> None:
    """The lowest rows of a refused call go first in the next, smaller one; a clean call is taken out."""
    bad = data.draw(st.integers(0, rows - 1))
    left, size, calls = list(range(rows)), rows, 0
    while True:
        call = left[:size]
        calls += 1
        if bad not in call:
            left = left[size:]
            continue
        if len(call) == 1:
            break
        size = smaller_call(len(call))
    assert call == [bad]
    assert calls <= 2 * rows.bit_length() + 2
