"""CSV as malls write and read it: bytes <-> rows, and keys compared the way cp932 bends them. Pure.

The sheet's traps: cp932 gives U+FF5E where other software means U+301C, so a key has one `same_form` under which
equal bytes are equal keys; a second byte may be a backslash, so text is split only after decoding.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from syncd_files.settings import Column, Encoding, Header, Newline, Quote

BOM = "\ufeff"
MAX_ROWS = 100_000
MAX_COLUMNS = 500
MAX_FIELD = 4_000

SAME = str.maketrans(
    {
        "\u301c": "\uff5e",  # wave dash
        "\u2212": "\uff0d",  # minus
        "\u2016": "\u2225",  # double bar
        "\u2014": "\u2015",  # em dash: cp932 has only the horizontal bar
        "\u00a2": "\uffe0",
        "\u00a3": "\uffe1",
        "\u00ac": "\uffe2",
    }
)
DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d", "-"))
WAVES = str.maketrans(dict.fromkeys("\u301c\uff5e", "~"))


class BadTable(Exception):
    """A file that cannot be believed as a whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of data and the line of the file at which it begins, from 1."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A file as rows. `positions` finds a column by header text (or by number without a header)."""

    positions: dict[Column, int]
    rows: tuple[Row, ...]

    def cell(self, row: Row, column: Column) -> str:
        return row.cells[self.positions[column]].strip(" \t\u3000")


class Unfinished(Exception):
    """The trailer that ends a whole file is not there yet."""


# --- keys ---------------------------------------------------------------------------------------------------


def same_form(text: str) -> str:
    """The one form of characters that share their cp932 bytes: the form that decoding gives."""
    return text.translate(SAME)


def fold(text: str) -> str:
    """A key for comparison only: NFKC, one dash, one wave, trimmed. The original is what is stored and sent."""
    text = text.translate(WAVES).translate(DASHES)
    return unicodedata.normalize("NFKC", text).strip(" \t\u3000")


def fits(text: str, encoding: Encoding) -> bool:
    """Whether a field survives the way to the shop: encodable, unchanged when read back, and on one line."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return False
    if encoding is not Encoding.CP932:
        return True
    try:
        return same_form(text).encode("cp932").decode("cp932") == same_form(text)
    except UnicodeError:
        return False


# --- out ----------------------------------------------------------------------------------------------------


def write_table(rows: Iterable[Sequence[str]], *, encoding: Encoding, newline: Newline, quote: Quote) -> bytes:
    """Rows as a file, every line ended. All fields must fit."""
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        lineterminator="\r\n" if newline is Newline.CRLF else "\n",
        quoting=csv.QUOTE_ALL if quote is Quote.ALL else csv.QUOTE_MINIMAL,
    )
    writer.writerows(rows)
    body = text.getvalue()
    return (same_form(body) if encoding is Encoding.CP932 else body).encode(encoding.value)


# --- in -----------------------------------------------------------------------------------------------------


def decode(content: bytes, encoding: Encoding) -> str:
    """The text of a file, strictly. Raises BadTable, with a hint when it is UTF-8 where cp932 was agreed."""
    marked = content.startswith(b"\xef\xbb\xbf")
    if encoding is Encoding.CP932 and marked:
        raise BadTable("saved as UTF-8 with BOM (by Excel?), agreed is cp932")
    try:
        return content.decode("cp932" if encoding is Encoding.CP932 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(f"not {encoding.value} at byte {error.start}") from None


def _records(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    before = 0
    try:
        for cells in reader:
            row = Row(before + 1, tuple(cells))
            before = reader.line_num
            if cells:
                yield row
    except csv.Error as error:
        raise BadTable(f"line {reader.line_num}: {error}") from None


def _checked(text: str) -> list[Row]:
    rows: list[Row] = []
    for row in _records(text):
        if len(rows) > MAX_ROWS:
            raise BadTable(f"more than {MAX_ROWS} rows")
        if len(row.cells) > MAX_COLUMNS:
            raise BadTable(f"line {row.line}: more than {MAX_COLUMNS} columns")
        if any(len(cell) > MAX_FIELD for cell in row.cells):
            raise BadTable(f"line {row.line}: a field longer than {MAX_FIELD} characters")
        rows.append(row)
    return rows


def read_table(
    content: bytes, columns: Iterable[Column], *, encoding: Encoding, header: Header, trailer: str = ""
) -> Table:
    """The rows of a file that has these columns. Raises BadTable, or Unfinished when the trailer is missing."""
    text = decode(content, encoding)
    if "\0" in text:
        raise BadTable("holds NUL characters")
    if trailer and not _ends_with(text, trailer):
        raise Unfinished
    rows = _checked(text)
    if trailer:
        rows.pop()
    if header is Header.ON:
        if not rows:
            raise BadTable("empty: not even a header")
        names = rows.pop(0).cells
        positions, width = _positions(names, columns), len(names)
    else:
        positions = {column: int(column) - 1 for column in columns}
        width = len(rows[0].cells) if rows else 0
        if rows and max(positions.values()) >= width:
            raise BadTable(f"has {width} columns, fewer than the settings name")
    for row in rows:
        if len(row.cells) != width:
            raise BadTable(f"line {row.line}: {len(row.cells)} fields instead of {width} (cut off?)")
    return Table(positions, tuple(rows))


def _ends_with(text: str, trailer: str) -> bool:
    lines = text.rstrip("\r\n").splitlines()
    return bool(lines) and text.endswith("\n") and lines[-1].split(",")[0].strip('" ') == trailer


def _positions(cells: Sequence[str], columns: Iterable[Column]) -> dict[Column, int]:
    """Where the columns stand, by exact text. Raises BadTable when one is missing or stands there twice."""
    names = [same_form(cell.strip(" \t\u3000")) for cell in cells]
    found: dict[Column, int] = {}
    for column in columns:
        name = same_form(str(column))
        if names.count(name) != 1:
            what = "no column" if name not in names else "two columns"
            raise BadTable(f"{what} {column} in the header; the shop's layout changed?")
        found[column] = names.index(name)
    return found
