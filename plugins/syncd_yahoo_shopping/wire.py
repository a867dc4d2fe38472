"""Yahoo's XML, read with care: one document, its complaints, its times. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from html import escape
from typing import TYPE_CHECKING

from defusedxml import ElementTree

from syncd.sdk.errors import BrokenAnswer

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

JST = timezone(timedelta(hours=9), "JST")
MAX_XML_BYTES = 8 * 1024 * 1024  # 2,000 orders of a list take about one
ROOTS = frozenset({"ResultSet", "Result", "Error"})
MAINTENANCE = re.compile(r"メンテナンス|maintenance", re.IGNORECASE)


class PageForAnswer(BrokenAnswer):
    """An HTML page where XML should be. `maintenance` says that it speaks of maintenance."""

    def __init__(self, message: str, *, maintenance: bool) -> None:
        super().__init__(message)
        self.maintenance = maintenance


# --- documents ----------------------------------------------------------------------------------------------


def parsed(content: bytes, what: str) -> Element:
    """The root of an answer. Raises BrokenAnswer for whatever is not one whole document of Yahoo's.

    Cut off, wrongly encoded, too large, with entities of its own (an XML bomb): all the same to the caller.
    """
    if len(content) > MAX_XML_BYTES:
        raise BrokenAnswer(f"{what}: an answer of {len(content)} bytes")
    try:
        root: Element = ElementTree.fromstring(content, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _not_xml(content, what, type(error).__name__) from None
    if name_of(root) not in ROOTS:
        raise _not_xml(content, what, f"<{name_of(root)}>")
    return root


def _not_xml(content: bytes, what: str, why: str) -> BrokenAnswer:
    head = content[:20_000].decode("utf-8", errors="replace")
    if "<html" in head.lower() or "<!doctype" in head.lower():
        maintenance = MAINTENANCE.search(head) is not None
        return PageForAnswer(f"{what}: an HTML page for an answer", maintenance=maintenance)
    return BrokenAnswer(f"{what}: no XML answer ({why})")


def name_of(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Direct children of that name."""
    return (child for child in element if name_of(child) == name)


def child(element: Element, *path: str) -> Element | None:
    """The first element down a path of names, None where the path ends."""
    found: Element | None = element
    for name in path:
        found = next(children(found, name), None) if found is not None else None
    return found


def text(element: Element, *path: str) -> str:
    """The text of the first element down a path; empty where there is none."""
    found = child(element, *path)
    return "" if found is None or found.text is None else found.text.strip()


def texts(element: Element, name: str) -> list[str]:
    """The texts of every direct child of that name, comma lists taken apart."""
    found = [one.text or "" for one in children(element, name)]
    return [part.strip() for one in found for part in one.split(",") if part.strip()]


# --- complaints ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Complaint:
    """The one error of an answer that failed as a whole."""

    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.message}".strip()


def complaint_of(root: Element) -> Complaint | None:
    """What a document complains about as a whole: `<Error>` as root or inside, or a Status other than OK."""
    error = root if name_of(root) == "Error" else next((one for one in root.iter() if name_of(one) == "Error"), None)
    if error is not None:
        return Complaint(text(error, "Code"), text(error, "Message"))
    status = text(root, "Result", "Status") if name_of(root) == "ResultSet" else text(root, "Status")
    if status and not status.isdigit() and status != "OK":
        return Complaint("", f"Status {status}")
    return None


# --- times --------------------------------------------------------------------------------------------------


def search_time(epoch_seconds: int) -> str:
    """A time as an order search takes it, in Japan's time: `YYYYMMDDhhmmss`."""
    return datetime.fromtimestamp(epoch_seconds, JST).strftime("%Y%m%d%H%M%S")


def read_time(written: str) -> datetime:
    """An aware time of any of Yahoo's spellings; without a zone it is Japan's. Raises ValueError."""
    if re.fullmatch(r"\d{14}", written):
        moment = datetime.strptime(written, "%Y%m%d%H%M%S").replace(tzinfo=JST)
    else:
        moment = datetime.fromisoformat(written)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=JST)


def tag(name: str, value: object) -> str:
    """One element of a request."""
    return f"<{name}>{escape(str(value), quote=False)}</{name}>"
