"""When a file that lies there is looked at again."""

from __future__ import annotations

import pytest

from syncd_files.rhythm import Rhythm

USUAL = 5.0


def looks_until_gone(rhythm: Rhythm, began: float, takes: float) -> list[float]:
    """Ages at which a file is looked at that the shop takes in after so long; the last look finds it gone."""
    rhythm.put(began)
    looks = [0.0]
    while looks[-1] < takes:
        looks.append(looks[-1] + rhythm.pause(began + looks[-1]))
    rhythm.gone(began + looks[-1])
    return looks


@pytest.mark.parametrize("takes", [3.2, 60.0, 61.9, 600.0])
def test_import_is_seen_within_about_a_second_once_it_is_known_how_long_one_takes(takes: float) -> None:
    rhythm = Rhythm(USUAL)
    first, *others = [looks_until_gone(rhythm, 1000.0 * number, takes) for number in range(4)]
    assert first[-1] - takes < USUAL
    assert all(looks[-1] - takes < 1.1 for looks in others[1:])
    assert all(len(looks) <= len(first) + 6 for looks in others), "few looks more"


def test_shop_that_has_become_slower_or_faster_is_asked_as_usual_again() -> None:
    rhythm = Rhythm(USUAL)
    looks_until_gone(rhythm, 0.0, 60.0)
    slower = looks_until_gone(rhythm, 1000.0, 100.0)
    assert slower[-1] - 100.0 < USUAL
    assert len(slower) < 100 / USUAL + 8
    assert looks_until_gone(rhythm, 2000.0, 20.0)[-1] - 20.0 < USUAL


def test_mailbox_that_nobody_looked_at_while_the_file_lay_there_teaches_nothing() -> None:
    rhythm = Rhythm(USUAL)
    rhythm.put(0.0)
    rhythm.gone(3600.0)
    rhythm.put(3600.0)
    assert rhythm.pause(3601.0) == USUAL
    rhythm.gone(7200.0)
    rhythm.put(7200.0)
    assert rhythm.pause(7201.0) == USUAL


def test_file_of_somebody_else_is_looked_at_as_usual() -> None:
    rhythm = Rhythm(USUAL)
    looks_until_gone(rhythm, 0.0, 2.0)
    assert rhythm.pause(50.0) == USUAL
