"""Changed copies: the same as the standard library's."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.escrow import Exposure
from syncd.core.fence import Shown
from syncd.core.values import replace

NUMBERS = st.integers(-5, 5)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_changed_copy_is_that_of_the_standard_library(one: int, two: int, three: int) -> None:
    shown = Shown(believed=one, base_us=two, slack=three)
    assert replace(shown, unread=two, doubt_us=None) == dataclasses.replace(shown, unread=two, doubt_us=None)
    bound = Exposure(bound=one, calls=two, proven_by_read=three)
    assert replace(bound, proven_by_read=one) == dataclasses.replace(bound, proven_by_read=one)
    assert replace(bound) == bound


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        replace(Shown(), nothing=1)
