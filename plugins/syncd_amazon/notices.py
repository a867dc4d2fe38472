"""A message of the queue -> what it says to read. Pure; nothing but the order's number is taken from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ORDER_CHANGE = "ORDER_CHANGE"
BY_SELLER = "MFN"
NUMBER = re.compile(r"[0-9A-Z]{3}-\d{7}-\d{7}")
ID_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification about an order of this seller. `number` is None where Amazon ships it."""

    id: str
    number: str | None


def read_notice(text: str, seller: str, marketplace: str) -> Notice | None:
    """What a message says; None where it is no order notification of this seller, whatever else it is."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if _at(body, "NotificationType") != ORDER_CHANGE:
        return None
    told = _at(body, "Payload", "OrderChangeNotification")
    if _at(told, "SellerId") != seller or _at(told, "Summary", "MarketplaceId") != marketplace:
        return None
    number, id_ = _at(told, "AmazonOrderId"), _at(body, "NotificationMetadata", "NotificationId")
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        return None
    ours = _at(told, "Summary", "FulfillmentType") in (BY_SELLER, None)
    return Notice(id_[:ID_CHARACTERS] if isinstance(id_, str) else "", number if ours else None)


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
