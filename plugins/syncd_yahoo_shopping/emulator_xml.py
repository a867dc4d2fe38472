"""The emulator's XML: elements, whole answers, errors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape

from syncd_yahoo_shopping.wire import JST

Answer = tuple[int, str]
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def element(name: str, value: object = "") -> str:
    """An element with text."""
    return f"<{name}>{escape(str(value), quote=False)}</{name}>"


def group(name: str, inner: Iterable[str]) -> str:
    """An element with elements."""
    return f"<{name}>{''.join(inner)}</{name}>"


def result_set(inner: Iterable[str], **counts: object) -> str:
    """A whole answer."""
    attributes = "".join(f' {name}="{value}"' for name, value in counts.items())
    return f'{HEAD}<ResultSet xmlns="urn:yahoo:api"{attributes}>{"".join(inner)}</ResultSet>'


def error(status: int, code: str, message: str) -> Answer:
    """A whole failure, as stock and gateway have it."""
    inner = element("Message", message) + element("Code", code)
    return status, f'{HEAD}<Error xmlns="urn:yahoo:api">{inner}</Error>'


def stamp(moment: datetime) -> str:
    """A time in an answer."""
    return moment.astimezone(JST).isoformat(timespec="seconds")
