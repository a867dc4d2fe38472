"""CSV as people keep it: out as UTF-8 with a mark that spreadsheets understand, in as UTF-8 or cp932.

A text cell that a spreadsheet would run as a formula leaves with a ' in front, and the ' is taken off when the file
comes back. Reading is strict: an unknown heading or a wrong cell is named by file, line and column, never guessed.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from syncd.cli.refusal import Problem, WrongFile

FORMULA = "=+-@\t\r\n＝＋－＠−"
"""First characters that a spreadsheet may run; full-width forms are turned into these by some."""
ESCAPED = re.compile(f"'*[{re.escape(FORMULA)}]")
WHOLE = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)")
UNUSED_CP932 = re.compile("[\x80\xa0\uf8f1-\uf8f3]")
"""What Python makes of single bytes that no cp932 text holds."""
NO_ENCODING = 'is neither UTF-8 nor Shift_JIS (cp932); save the file as "CSV UTF-8"'

HEADINGS: Mapping[str, tuple[str, ...]] = {
    "sku": ("商品コード",),
    "name": ("商品名",),
    "location": ("倉庫", "拠点", "倉庫・拠点"),
    "number": ("数", "在庫数"),
    "by": ("増減",),
    "on_hand": ("on hand", "実在庫"),
    "ordered": ("受注済",),
    "allocated": ("引当済",),
    "deliverable": ("配送可在庫",),
    "free": ("フリー在庫",),
    "shop": ("店舗",),
    "key": ("listing", "出品"),
    "pack": ("入数",),
    "state": ("状態",),
    "sync": ("同期",),
    "proposed": ("候補",),
    "confirm": ("確認",),
    "jan": ("JANコード",),
    "target": ("反映する在庫数",),
    "part": ("構成商品コード",),
    "pieces": ("構成数",),
    "order": ("受注番号", "注文番号"),
    "carrier": ("配送会社",),
    "carrier_name": ("配送会社名",),
    "tracking": ("送り状番号", "お問い合わせ番号", "追跡番号"),
    "shipped_at": ("出荷日", "発送日"),
    "line": ("明細", "明細番号"),
    "units": ("数量", "出荷数"),
}
"""Column -> other headings that mean it."""


def escaped(value: object) -> str:
    """A cell for a file: a text that looks like a formula gets a ' in front; a number stays one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and ESCAPED.match(text) else text


def unescaped(cell: str) -> str:
    """The cell as it was before `escaped`."""
    return cell[1:] if cell.startswith("'") and ESCAPED.match(cell[1:]) else cell


def written(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """A CSV file of these columns of these rows."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([escaped(row.get(column)) for column in columns] for row in rows)
    return out.getvalue().encode("utf-8-sig")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file. `line` is where it begins, counted from 1."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(slots=True)
class Sheet:
    """A file that was read, and the mistakes found in it so far."""

    file: str
    columns: Mapping[str, tuple[int, str]]
    rows: list[Row]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, row: Row, column: str, text: str) -> None:
        """Note a mistake in one cell."""
        self.problems.append(Problem(self.file, row.line, self.columns.get(column), text))

    def finish(self) -> None:
        """Raise WrongFile if there were mistakes."""
        if self.problems:
            raise WrongFile(self.problems)

    def whole(self, row: Row, column: str, *, least: int | None = None) -> int:
        """A whole number; 0 and a noted mistake where there is none."""
        text = unicodedata.normalize("NFKC", row[column]).replace("−", "-")
        if not WHOLE.fullmatch(text):
            self.wrong(row, column, f'"{shortened(row[column])}" should be a whole number' if text else "is empty")
            return 0
        number = int(text.replace(",", ""))
        if least is not None and number < least:
            self.wrong(row, column, f"{number} should be at least {least}")
        return number

    def flag(self, row: Row, column: str) -> bool:
        """yes or no."""
        text = unicodedata.normalize("NFKC", row[column]).casefold()
        if text in ("yes", "true", "on", "1"):
            return True
        if text not in ("no", "false", "off", "0"):
            self.wrong(row, column, f'"{shortened(row[column])}" should be yes or no')
        return False

    def code(self, row: Row, column: str = "sku", *, required: bool = True) -> str:
        """A SKU code; a noted mistake where it is empty or could be a formula."""
        text = row[column]
        if text and text[0] in FORMULA:
            self.wrong(row, column, f'a SKU code must not begin with "{text[0]}": spreadsheets would run it')
        if required and not text:
            self.wrong(row, column, "is empty")
        return text

    def once(self, keys: Sequence[tuple[str, ...]], column: str) -> None:
        """Note every row whose key stood on an earlier line. `keys` are those of the rows, in order."""
        first: dict[tuple[str, ...], int] = {}
        for row, key in zip(self.rows, keys, strict=True):
            line = first.setdefault(key, row.line)
            if line != row.line:
                self.wrong(row, column, f"{' at '.join(key)} stands on line {line} already")


def read_sheet(raw: bytes, file: str, known: Sequence[str], required: Sequence[str]) -> Sheet:
    """Read a file with a line of headings. Raises WrongFile; empty lines are left out."""
    text = _decoded(raw, file)
    first = text.partition("\n")[0]
    delimiter = "\t" if "\t" in first and "," not in first else ","
    records = _records(text, file, delimiter)
    if not records:
        raise WrongFile([Problem(file, 1, None, f"is empty; the first line should be: {','.join(required)}")])
    columns = _columns(records[0][1], records[0][0], file, known, required)
    sheet = Sheet(file, columns, [])
    for line, cells in records[1:]:
        if len(cells) > len(records[0][1]):
            told = f"{len(cells)} cells under {len(records[0][1])} headings; is a comma not in quotes?"
            sheet.problems.append(Problem(file, line, None, told))
        if any(cell.strip() for cell in cells):
            have = {name: cells[at - 1] for name, (at, _) in columns.items() if at <= len(cells)}
            sheet.rows.append(Row(line, {name: unescaped(cell.strip(" \u3000")) for name, cell in have.items()}))
    if not sheet.rows and not sheet.problems:
        raise WrongFile([Problem(file, 1, None, "holds headings only")])
    return sheet


def _decoded(raw: bytes, file: str) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:4096]:
        raise WrongFile([Problem(file, 1, None, NO_ENCODING)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    if not raw.startswith(codecs.BOM_UTF8):  # a file that says it is UTF-8 is nothing else
        try:
            text = raw.decode("cp932")
        except UnicodeDecodeError as error:
            at = error.start
        else:
            unused = UNUSED_CP932.search(text)
            if unused is None:
                return text
            at = len(text[: unused.start()].encode("cp932"))
    line_start = raw.rfind(b"\n", 0, at) + 1
    told = f"byte {at - line_start + 1} of the line {NO_ENCODING}"
    raise WrongFile([Problem(file, raw[:at].count(b"\n") + 1, None, told)])


def _records(text: str, file: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records = []
    line = 1
    try:
        for cells in reader:
            records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise WrongFile([Problem(file, line, None, f"is not CSV: {error}")]) from None
    return records


def _columns(
    headings: Sequence[str], line: int, file: str, known: Sequence[str], required: Sequence[str]
) -> dict[str, tuple[int, str]]:
    meaning = {_folded(other): name for name in known for other in (name, *HEADINGS.get(name, ()))}
    columns: dict[str, tuple[int, str]] = {}
    problems = []
    for at, heading in enumerate(headings, 1):
        name = meaning.get(_folded(heading))
        if name is None:
            near = difflib.get_close_matches(_folded(heading), meaning, n=1)
            told = (
                f"unknown heading; did you mean {near[0]}?"
                if near
                else f"unknown heading; known are: {', '.join(known)}"
            )
            problems.append(Problem(file, line, (at, shortened(heading)), told))
        elif name in columns:
            problems.append(Problem(file, line, (at, heading), f"the same column as column {columns[name][0]}"))
        else:
            columns[name] = (at, heading.strip())
    if problems:
        raise WrongFile(problems)
    missing = [name for name in required if name not in columns]
    if missing:
        raise WrongFile([Problem(file, line, None, f"no column {', '.join(missing)} in the headings")])
    return columns


def _folded(heading: str) -> str:
    return unicodedata.normalize("NFKC", heading).strip().casefold().replace(" ", "_")


def shortened(text: str) -> str:
    """A cell as a message shows it: printable, and short."""
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return plain if len(plain) <= 40 else plain[:39] + "…"
