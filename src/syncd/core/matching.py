"""Which SKU a listing of a shop seems to be (同一商品判定), and how sure that is. Nothing but an equal code is certain.

equal    the very same code
folded   the same but for full and half width (NFKC) and letter case
jan      the same JAN: a SKU's code, or the JAN of a listing that is mapped already, on any shop
digits   the same number once separators and leading zeros are gone: 0012-3 and 123
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SEPARATORS = str.maketrans("", "", " -_./\u3000\u2010\u2011\u2012\u2013\u2014\u2212")
LEAST_DIGITS = 3
"""Shorter numbers fit too much by chance."""


class Match(StrEnum):
    """How a SKU was found. Those above AMBIGUOUS name one SKU."""

    EQUAL = "equal"
    FOLDED = "folded"
    JAN = "jan"
    DIGITS = "digits"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


Candidate = tuple[str, int]
"""A SKU's code, and how many of it the listing is (入数)."""


@dataclass(slots=True)
class Catalogue:
    """Every SKU code, by each way it may be found."""

    exact: frozenset[str]
    alike: Mapping[str, list[str]]
    numbers: Mapping[str, list[str]]
    jans: Mapping[str, set[Candidate]] = field(default_factory=dict)

    @classmethod
    def of(cls, codes: Iterable[str], jans: Iterable[tuple[str, str, int]] = ()) -> Catalogue:
        """`jans` are those of mapped listings: (JAN, SKU, pack size)."""
        every = list(codes)
        alike: dict[str, list[str]] = {}
        numbers: dict[str, list[str]] = {}
        for code in every:
            alike.setdefault(folded(code), []).append(code)
            if number := bare_digits(code):
                numbers.setdefault(number, []).append(code)
        known: dict[str, set[Candidate]] = {}
        for jan, code, pack in jans:
            known.setdefault(folded(jan), set()).add((code, pack))
        return cls(frozenset(every), alike, numbers, known)

    def find(self, wanted: str, jan: str) -> tuple[Match, list[Candidate]]:
        """The SKU that a shop's code or JAN stands for; several candidates are ambiguous, never chosen from."""
        if wanted and wanted in self.exact:
            return Match.EQUAL, [(wanted, 1)]
        for match, near in (
            (Match.FOLDED, self._plain(self.alike.get(folded(wanted)) if wanted else None)),
            (Match.JAN, self._by_jan(jan)),
            (Match.DIGITS, self._plain(self.numbers.get(bare_digits(wanted)) if bare_digits(wanted) else None)),
        ):
            if near:
                return match if len(near) == 1 else Match.AMBIGUOUS, near
        return Match.NONE, []

    @staticmethod
    def _plain(codes: list[str] | None) -> list[Candidate]:
        return [(code, 1) for code in codes or ()]

    def _by_jan(self, jan: str) -> list[Candidate]:
        if not folded(jan):
            return []
        return sorted({*self._plain(self.alike.get(folded(jan))), *self.jans.get(folded(jan), ())})


def folded(code: str) -> str:
    """A code as people compare them: full and half width alike, upper and lower case alike."""
    return unicodedata.normalize("NFKC", code).casefold().strip()


def bare_digits(code: str) -> str:
    """The number that a code of digits and separators is, without leading zeros; empty for any other code."""
    plain = folded(code).translate(SEPARATORS)
    if not (plain.isascii() and plain.isdigit()):
        return ""
    number = plain.lstrip("0")
    return number if len(number) >= LEAST_DIGITS else ""
