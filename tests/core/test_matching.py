"""Which SKU a listing seems to be: one certain kind, three to be confirmed, and never a choice among several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.matching import Catalogue, Match, bare_digits

CODES = ("Red-Mug", "0012-345", "4901234567894", "TEE-1", "tee-1", "77")
JANS = (("4900000000011", "Red-Mug", 1), ("4900000000028", "Red-Mug", 5), ("4900000000035", "TEE-1", 1))


@pytest.mark.parametrize(
    ("wanted", "jan", "match", "found"),
    [
        ("Red-Mug", "", Match.EQUAL, [("Red-Mug", 1)]),
        ("TEE-1", "", Match.EQUAL, [("TEE-1", 1)]),
        ("ｒｅｄ－ＭＵＧ", "", Match.FOLDED, [("Red-Mug", 1)]),
        (" red-mug ", "", Match.FOLDED, [("Red-Mug", 1)]),
        ("Tee-1", "", Match.AMBIGUOUS, [("TEE-1", 1), ("tee-1", 1)]),
        ("whatever", "4901234567894", Match.JAN, [("4901234567894", 1)]),
        ("", "４９０１２３４５６７８９４", Match.JAN, [("4901234567894", 1)]),
        ("", "4900000000028", Match.JAN, [("Red-Mug", 5)]),
        ("12345", "", Match.DIGITS, [("0012-345", 1)]),
        ("1_2345", "", Match.DIGITS, [("0012-345", 1)]),
        ("4901-2345-67894", "", Match.DIGITS, [("4901234567894", 1)]),
        ("0077", "", Match.NONE, []),  # two digits fit too much by chance
        ("mug-12345", "", Match.NONE, []),
        ("", "", Match.NONE, []),
    ],
)
def test_a_listing_is_matched_by_the_surest_way_there_is(
    wanted: str, jan: str, match: Match, found: list[tuple[str, int]]
) -> None:
    assert Catalogue.of(CODES, JANS).find(wanted, jan) == (match, found)


def test_two_skus_of_one_jan_are_never_chosen_from() -> None:
    twins = Catalogue.of(CODES, [*JANS, ("4900000000011", "tee-1", 1)])
    assert twins.find("", "4900000000011") == (Match.AMBIGUOUS, [("Red-Mug", 1), ("tee-1", 1)])


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6), st.text(max_size=8), st.text(max_size=8))
def test_only_the_very_same_code_is_equal_and_one_candidate_is_never_ambiguous(
    codes: list[str], wanted: str, jan: str
) -> None:
    match, found = Catalogue.of(codes).find(wanted, jan)
    assert (match is Match.EQUAL) == (wanted in codes)
    assert (len(found) == 1) == (match in (Match.EQUAL, Match.FOLDED, Match.JAN, Match.DIGITS))
    assert {code for code, _ in found} <= set(codes)


@pytest.mark.parametrize("code", ["12-E4", "²³⁴x", "١٢٣a", "", "a1"])
def test_a_code_with_letters_is_no_number(code: str) -> None:
    assert bare_digits(code) == ""
