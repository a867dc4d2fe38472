"""What staff may set on a listing beside its stock: lead time and restock date.

Amazon takes them only together with a quantity. So the page's own number is read and sent along, and nothing is set
while another number of the SKU is on its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from syncd.sdk.channel import Reason
from syncd.sdk.errors import BrokenAnswer, Unavailable
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.results import Results
from syncd_amazon.wire import INCLUDED, Holder, Submission, availability, patch_body, read_item, read_submission

LEAD_TIME = "lead_time_days"  # 注文から出荷までの日数
RESTOCK = "restock_date"  # 予約商品の販売開始日
NAMES = frozenset({LEAD_TIME, RESTOCK})
LEAD_ATTRIBUTE = "lead_time_to_ship_max_days"
RESTOCK_ATTRIBUTE = "restock_date"
MOST_DAYS = 365
MIDNIGHT = "T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for. None: leave as it is. An empty value in `removed`: take it away."""

    lead_days: int | None = None
    restock: date | None = None
    removed: frozenset[str] = frozenset()


class Options:
    """Sets options of one listing."""

    def __init__(self, api: AmazonApi, results: Results) -> None:
        self._api = api
        self._results = results

    async def set(self, sku: str, options: Mapping[str, str]) -> None:
        """Raises ValueError for a value that Amazon does not take, Unavailable while a number is on its way."""
        change = read_change(options)
        if self._results.is_under_way(sku):
            raise Unavailable(f"a stock number of {sku} is on its way to Amazon; set its options once it is shown")
        item = await self._api.get_listing(sku, f"{INCLUDED},attributes")
        if item is None:
            raise ValueError(f"Amazon has no SKU {sku}")
        shelf = read_item(item)
        if shelf.holder is not Holder.SELLER:
            raise ValueError(f"{sku} is not shipped by the seller: it has no options of ours")
        if shelf.quantity is None:
            raise ValueError(f"{sku} counts no stock, and Amazon takes these options only with a quantity")
        told = await self._send(sku, shelf.quantity, change, kept_options(item))
        if told.reason is not None:
            raise ValueError(f"Amazon refuses {', '.join(sorted(options))} of {sku}: {told.message}")

    async def _send(self, sku: str, number: int, change: Change, kept: Mapping[str, Any]) -> Submission:
        """The date's form is not confirmed: a plain date is tried first, then a time at midnight."""
        told = Submission(reason=Reason.INVALID)
        for ending in ("", MIDNIGHT) if change.restock is not None else ("",):
            try:
                told = read_submission(await self._api.patch_listing(sku, change_body(number, change, kept, ending)))
            except RequestRefused as error:
                told = Submission(reason=Reason.INVALID, message=str(error))
            if told.reason is None:
                break
        return told


def change_body(number: int, change: Change, kept: Mapping[str, Any], ending: str) -> dict[str, Any]:
    """The patch: a merge, or where something is taken away a replace that names all that stays."""
    values: dict[str, Any] = {}
    if change.lead_days is not None:
        values[LEAD_ATTRIBUTE] = change.lead_days
    if change.restock is not None:
        values[RESTOCK_ATTRIBUTE] = change.restock.isoformat() + ending
    if not change.removed:
        return patch_body(availability(number, values))
    stays = {name: value for name, value in kept.items() if name not in change.removed}
    return patch_body(availability(number, stays | values), "replace")


def read_change(options: Mapping[str, str]) -> Change:
    """Raises ValueError that names the option."""
    unknown = options.keys() - NAMES
    if unknown:
        raise ValueError(f"Amazon has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(NAMES))}")
    removed: set[str] = set()
    lead: int | None = None
    restock: date | None = None
    if LEAD_TIME in options:
        text = options[LEAD_TIME].strip()
        if not text:
            removed.add(LEAD_ATTRIBUTE)
        elif not text.isascii() or not text.isdigit() or not 0 <= int(text) <= MOST_DAYS:
            raise ValueError(f"{LEAD_TIME}: whole days from 0 to {MOST_DAYS}, not {text[:40]!r}")
        else:
            lead = int(text)
    if RESTOCK in options:
        text = options[RESTOCK].strip()
        if not text:
            removed.add(RESTOCK_ATTRIBUTE)
        else:
            try:
                restock = date.fromisoformat(text)
            except ValueError:
                raise ValueError(f"{RESTOCK}: a date like 2026-12-24, not {text[:40]!r}") from None
    return Change(lead, restock, frozenset(removed))


def kept_options(item: Any) -> dict[str, Any]:
    """Lead time and restock date as the item's attributes have them now. Raises BrokenAnswer."""
    attributes = item.get("attributes") if isinstance(item, Mapping) else None
    entries = attributes.get("fulfillment_availability") if isinstance(attributes, Mapping) else None
    for entry in entries or ():
        if not isinstance(entry, Mapping):
            raise BrokenAnswer("get_listing: fulfillment_availability that cannot be read")
        if entry.get("fulfillment_channel_code") == "DEFAULT":
            return {name: entry[name] for name in (LEAD_ATTRIBUTE, RESTOCK_ATTRIBUTE) if name in entry}
    return {}
