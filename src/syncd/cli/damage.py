"""What a spreadsheet does to codes when it opens and saves a file, recognised so that it is not taken over.

`0012` becomes `12`, `4901234567894` becomes `4.9E+12`, `1-2` becomes a date in the form of the spreadsheet's language.
Only a code that no SKU has is suspected: a merchant may have coded a SKU `2026-01-02`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

SCIENTIFIC = re.compile(r"[+-]?\d(\.\d+)?E[+-]?\d+", re.IGNORECASE)
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(
    rf"\d{{1,2}}月\d{{1,2}}日|\d{{4}}年\d{{1,2}}月(\d{{1,2}}日)?|\d{{1,2}}-({MONTHS})(-\d{{2,4}})?|({MONTHS})-\d{{2,4}}"
    r"|\d{4}[/-]\d{1,2}[/-]\d{1,2}( \d{1,2}:\d{2}(:\d{2})?)?|\d{1,2}/\d{1,2}(/\d{2,4})?",
    re.IGNORECASE,
)
WAY_OUT = "format the column as text before pasting, or import the file without opening it in a spreadsheet"


def looks_damaged(code: str) -> str | None:
    """What a spreadsheet seems to have done to a code; None if nothing."""
    text = unicodedata.normalize("NFKC", code)
    if SCIENTIFIC.fullmatch(text):
        return f'"{code}" looks like a long number that a spreadsheet shortened (digits are lost); {WAY_OUT}'
    if DATE.fullmatch(text):
        return f'"{code}" looks like a code that a spreadsheet turned into a date; {WAY_OUT}'
    return None


def lost_zeros(code: str, known: Iterable[str]) -> str | None:
    """What is wrong with an unknown code of digits if a known one differs by leading zeros only; else None."""
    if not (code.isascii() and code.isdigit()):
        return None
    for other in known:
        if other != code and other.isascii() and other.isdigit() and other.lstrip("0") == code.lstrip("0"):
            return f'"{code}" lost its leading zeros: the SKU is {other}'
    return None
