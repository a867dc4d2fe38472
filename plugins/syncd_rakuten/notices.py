"""Push notices (システムイベント通知サービス): XML in, a hint out. Pure.

Two kinds: new orders (`orderNotifyModel`) and system events (`notifyModel`), among them changes from the buyer's
purchase history (4000/1100) and results of Rakuten's screening (5000/1100). Whatever a notice says, it is only a hint:
the orders are then read.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError  # types only; parsing is defusedxml's

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from syncd.sdk.channel import Hint

REPLY = "<responseModel><resultCode>N-000-000</resultCode></responseModel>"
ORDERS, EVENTS = "orderNotifyModel", "notifyModel"
ORDER_EVENTS = frozenset({("4000", "1100"), ("5000", "1100")})
LONGEST_ID = 128
ORDER_NUMBER = re.compile(r"\d{1,12}-\d{8}-\d{1,16}")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notice says to look at, and the known orders that it says changed."""

    hint: Hint
    changed: frozenset[str] = frozenset()


def notice_of(body: bytes, shop_url: str, auth_key: str) -> Notice:
    """Read a notice. Raises ValueError for one that is not ours, or no notice at all."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError):  # its text would quote what a stranger sent
        raise ValueError("no XML of a notice") from None
    if not _is_ours(root, shop_url, auth_key):
        raise ValueError("authModel of the notice does not hold")
    kind = _name(root)
    if kind == ORDERS:
        told = [_text(one, "seqId") or _text(one, "orderNumber") for one in _all(root, "orderInfoNotifyModel")]
        return Notice(Hint(orders=True, id=_id("orders", told)))
    if kind == EVENTS:
        events = list(_all(root, "notifyInfoModel"))
        about = [one for one in events if (_text(one, "serviceId"), _text(one, "functionId")) in ORDER_EVENTS]
        hint = Hint(orders=bool(about), id=_id("events", [_text(one, "requestId") for one in events]))
        return Notice(hint, frozenset(number for one in about for number in _order_numbers(one)))
    raise ValueError("an unknown kind of notice")


def _is_ours(root: Element, shop_url: str, auth_key: str) -> bool:
    """Both are compared whole, so that the time taken tells nothing."""
    auth = next(_all(root, "authModel"), root)
    key = hmac.compare_digest(_text(auth, "authKey").encode(), auth_key.encode())
    shop = hmac.compare_digest(_text(auth, "shopUrl").encode(), shop_url.encode())
    return bool(key and shop and auth_key)


def _id(kind: str, told: list[str]) -> str:
    """The same for every delivery of one notice; empty where it cannot be told."""
    text = f"{kind}:{','.join(told)}"
    return text if all(told) and told and len(text) <= LONGEST_ID else ""


def _order_numbers(event: Element) -> Iterator[str]:
    """Values of an event that are order numbers: which value it is differs by kind."""
    return (text for one in event if ORDER_NUMBER.fullmatch(text := (one.text or "").strip()))


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(element: Element, name: str) -> Iterator[Element]:
    return (one for one in element.iter() if _name(one) == name)


def _text(element: Element, name: str) -> str:
    found = next((one for one in element if _name(one) == name), None)
    return "" if found is None or found.text is None else found.text.strip()
