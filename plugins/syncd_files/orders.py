"""An order file as order states: rows grouped by order, each line with its counts. Pure.

A row that cannot be read spoils its order, never the others of the file: that order is not believed and stands in
the problems. Buyers' columns are not looked at.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from syncd.model import LineState, OrderState, Source
from syncd_files.settings import Column, OrderFileSettings, Status
from syncd_files.wire import Row, Table, read_table, same_form

DIGITS = re.compile(r"[0-9]{1,7}")


class BadRow(Exception):
    """A row that cannot be read."""


@dataclass(frozen=True, slots=True)
class OrderFile:
    """What one file says, and which of its orders could not be read."""

    states: tuple[OrderState, ...]
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """An order while its rows come in."""

    lines: dict[str, LineState] = field(default_factory=dict)
    placed_at: datetime | None = None
    updated_at: datetime | None = None
    opened: bool = False
    fault: str = ""


def read_orders(content: bytes, settings: OrderFileSettings, *, as_of: datetime) -> OrderFile:
    """The states of a file generated at `as_of`. Raises BadTable, or Unfinished when its trailer is missing."""
    table = read_table(
        content,
        settings.columns.named(),
        encoding=settings.encoding,
        header=settings.header,
        trailer=settings.trailer,
    )
    drafts: dict[str, _Draft] = {}
    problems = []
    for row in table.rows:
        number = table.cell(row, settings.columns.order)
        if not number:
            problems.append(f"line {row.line}: no order number")
            continue
        draft = drafts.setdefault(number, _Draft())
        try:
            _take_in(draft, table, row, settings)
        except BadRow as error:
            draft.fault = draft.fault or f"line {row.line}: order {number}: {error}"
    problems += [draft.fault for draft in drafts.values() if draft.fault]
    states = (_state(number, draft, settings, as_of) for number, draft in drafts.items() if not draft.fault)
    return OrderFile(tuple(states), tuple(problems))


def name_time(name: str, settings: OrderFileSettings) -> datetime | None:
    """The time of generation in a file's name, where the settings say it is there."""
    if not settings.name_time:
        return None
    try:
        return _moment(name, settings.name_time, settings)
    except BadRow:
        return None


def _state(number: str, draft: _Draft, settings: OrderFileSettings, as_of: datetime) -> OrderState:
    return OrderState(
        number=number,
        lines=tuple(draft.lines.values()),
        as_of=draft.updated_at or as_of,
        complete=settings.complete,
        placed_at=draft.placed_at,
        shipment_opened=draft.opened,
        source=Source.FILE,
    )


def _take_in(draft: _Draft, table: Table, row: Row, settings: OrderFileSettings) -> None:
    columns = settings.columns
    placed_at = _time(table, row, columns.placed_at, settings)
    updated_at = _time(table, row, columns.updated_at, settings)
    status = _status(table, row, settings)
    line = _line(table, row, settings, status)
    known = draft.lines.get(line.line)
    # Without line numbers a listing may stand there twice in a whole order; a later row of an event replaces.
    if known is not None and columns.line is None and settings.complete:
        line = _sum(known, line)
    draft.lines[line.line] = line
    draft.placed_at = min(filter(None, (draft.placed_at, placed_at)), default=None)
    draft.updated_at = max(filter(None, (draft.updated_at, updated_at)), default=None)
    draft.opened = draft.opened or status is Status.SHIPMENT_OPENED


def _line(table: Table, row: Row, settings: OrderFileSettings, status: Status) -> LineState:
    columns = settings.columns
    listing = _listing(table, row, columns.listing)
    ordered = _count(table, row, columns.quantity)
    counts = {
        Status.CANCELLED: _count(table, row, columns.cancelled) if columns.cancelled is not None else 0,
        Status.SHIPPED: _count(table, row, columns.shipped) if columns.shipped is not None else 0,
        Status.RETURNED: _count(table, row, columns.returned) if columns.returned is not None else 0,
    }
    if status is Status.RETURNED:
        counts[Status.SHIPPED] = counts[Status.RETURNED] = ordered - counts[Status.CANCELLED]
    elif status is Status.SHIPPED:
        counts[status] = ordered - counts[Status.CANCELLED]
    elif status is Status.CANCELLED:
        counts[status] = ordered - counts[Status.SHIPPED]
    if ordered < counts[Status.CANCELLED] + counts[Status.SHIPPED] or counts[Status.SHIPPED] < counts[Status.RETURNED]:
        raise BadRow("more units cancelled, shipped or returned than there were")
    return LineState(
        line=table.cell(row, columns.line) or listing if columns.line is not None else listing,
        listing=listing,
        ordered=ordered,
        cancelled=counts[Status.CANCELLED],
        shipped=counts[Status.SHIPPED],
        returned=counts[Status.RETURNED],
    )


def _sum(one: LineState, other: LineState) -> LineState:
    return LineState(
        line=one.line,
        listing=one.listing,
        ordered=one.ordered + other.ordered,
        cancelled=one.cancelled + other.cancelled,
        shipped=one.shipped + other.shipped,
        returned=one.returned + other.returned,
    )


def _listing(table: Table, row: Row, columns: Sequence[Column]) -> str:
    """The listing key; with "?" before it where the parts do not tell which listing it is."""
    parts = [same_form(table.cell(row, column)) for column in columns]
    key = "/".join(parts)
    unclear = not any(parts) or (len(parts) > 1 and any("/" in part for part in parts))
    return f"?{key}" if unclear else key


def _count(table: Table, row: Row, column: Column) -> int:
    text = unicodedata.normalize("NFKC", table.cell(row, column))
    if not text and column is not None:
        raise BadRow(f"{column} is empty")
    if not DIGITS.fullmatch(text):
        raise BadRow(f"{column} is no number of units")
    return int(text)


def _status(table: Table, row: Row, settings: OrderFileSettings) -> Status:
    if settings.columns.status is None:
        return Status.OPEN
    text = table.cell(row, settings.columns.status)
    try:
        return settings.statuses[text]
    except KeyError:
        raise BadRow(f"status {text[:40]} is not in the settings") from None


def _time(table: Table, row: Row, column: Column | None, settings: OrderFileSettings) -> datetime | None:
    text = "" if column is None else table.cell(row, column)
    return _moment(text, settings.time_format, settings) if text else None


def _moment(text: str, form: str, settings: OrderFileSettings) -> datetime:
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007  # the zone follows in the next line, unless it is told
    except ValueError:
        raise BadRow(f"a time is not of the form {form}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(settings.zone))).astimezone(UTC)
