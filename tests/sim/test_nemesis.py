"""Seeded plays of rough malls, faults and crashes: nothing lost or doubled, no stale raise, right in the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from syncd.sim.nemesis import Script, play

SHORT = Script(seconds=12.0, malls=3, skus=6)
MANY = [*range(300, 321)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("seed", MANY)
def test_a_play_ends_well(seed: int) -> None:
    result = play(seed, SHORT)
    assert result.good, result.replay()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_a_long_play_ends_well(seed: int) -> None:
    result = play(seed)
    assert result.good, result.replay()


def test_the_same_seed_gives_the_same_trace() -> None:
    script = Script(seconds=6.0, malls=2, skus=4)
    assert play(5, script).trace == play(5, script).trace
    assert play(5, script).trace != play(6, script).trace
