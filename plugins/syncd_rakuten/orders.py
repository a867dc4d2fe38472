"""Order API JSON -> order states. Pure. No buyer field is ever touched, so a placeholder in one harms nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncd.model import LineState, OrderState, ReturnReason
from syncd.sdk.channel import Problem
from syncd.sdk.errors import BrokenAnswer
from syncd_rakuten.wire import listing_key, order_time, read_time

SHIPPED = frozenset({500, 600, 700})
WAITING = frozenset({100, 200, 300})
CHANGING = frozenset({400, 800})  # a change or a cancel is asked for and not fixed: still held
CANCELLED = 900
RETURN_REASONS = frozenset({2, 15})
WHY_RETURNED = {
    2: ReturnReason.SENT_BACK,
    3: ReturnReason.REFUSED,
    5: ReturnReason.REFUSED,
    15: ReturnReason.DAMAGED,
}
CANCEL_CHANGES = frozenset({0, 1, 2})


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search: order numbers and how many there are in all."""

    numbers: tuple[str, ...]
    total: int


def search_body(start: datetime, end: datetime, statuses: Sequence[int], page: int, rows: int) -> dict[str, Any]:
    """The body of searchOrder by order time, newest first. No statuses means all."""
    body: dict[str, Any] = {"orderProgressList": list(statuses)} if statuses else {}
    return body | {
        "dateType": 1,
        "startDatetime": order_time(start),
        "endDatetime": order_time(end),
        "PaginationRequestModel": {
            "requestRecordsAmount": rows,
            "requestPage": page,
            "SortModelList": [{"sortColumn": 1, "sortDirection": 2}],
        },
    }


def found_orders(body: Any) -> Found:
    """The order numbers of a search; with no hit the paging numbers are null. Raises BrokenAnswer."""
    try:
        numbers = tuple(str(number) for number in body["orderNumberList"] or ())
        paging = body.get("PaginationResponseModel") or {}
        return Found(numbers, int(paging.get("totalRecordsAmount") or 0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenAnswer(f"search_order: {type(error).__name__} {error}") from None


def order_states(body: Any, asked: Sequence[str]) -> tuple[list[OrderState], list[Problem]]:
    """The states in an answer of getOrder, and what of it cannot be used, by order. Raises BrokenAnswer."""
    models = body.get("OrderModelList") if isinstance(body, Mapping) else None
    if not isinstance(models, list):
        raise BrokenAnswer("get_order: no OrderModelList")
    states: list[OrderState] = []
    problems: list[Problem] = []
    named: set[str] = set()
    for model in models:
        number = str(model.get("orderNumber")) if isinstance(model, Mapping) else "?"
        named.add(number)
        try:
            states.append(order_state(model))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(Problem(number, f"order not understood: {type(error).__name__} {error}"))
    told = {str(entry.get("orderNumber")): entry for entry in body.get("MessageModelList") or () if entry}
    for number in asked:
        if number not in named:
            code = str(told.get(number, {}).get("messageCode") or "no message")
            problems.append(Problem(number, f"asked for, and Rakuten did not give it ({code})"))
    return states, problems


def models_of(body: Any) -> dict[str, Mapping[str, Any]]:
    """The orders in an answer of getOrder as they are, by number. Raises BrokenAnswer."""
    models = body.get("OrderModelList") if isinstance(body, Mapping) else None
    if not isinstance(models, list):
        raise BrokenAnswer("get_order: no OrderModelList")
    return {str(model.get("orderNumber")): model for model in models if isinstance(model, Mapping)}


def order_state(model: Mapping[str, Any]) -> OrderState:
    """One order as Rakuten shows it now. Rakuten has no version of an order, so `as_of` stays open."""
    progress = int(model["orderProgress"])
    if progress not in SHIPPED | WAITING | CHANGING | {CANCELLED}:
        raise ValueError(f"unknown orderProgress {progress}")
    left = was_shipped(model, progress)
    reported = model.get("shippingCmplRptDatetime")
    return OrderState(
        number=str(model["orderNumber"]),
        lines=tuple(_lines(model, progress, left, why_returned(model))),
        placed_at=read_time(model["orderDatetime"]),
        shipment_opened=left,
        shipped_at=read_time(reported) if left and reported else None,
    )


def was_shipped(model: Mapping[str, Any], progress: int) -> bool:
    """Whether the goods have left: by status; where the status hides it, by the shipping report or a return."""
    if progress in SHIPPED:
        return True
    if progress in WAITING:
        return False
    if model.get("shippingCmplRptDatetime"):
        return True
    return progress == CANCELLED and any(
        reason.get("changeReasonDetail") in RETURN_REASONS and reason.get("changeType") in CANCEL_CHANGES
        for reason in model.get("ChangeReasonModelList") or ()
    )


def why_returned(model: Mapping[str, Any]) -> ReturnReason | None:
    """Why the goods of an order came back, by the newest reason that Rakuten gives for it."""
    told = [
        WHY_RETURNED.get(reason.get("changeReasonDetail"))
        for reason in model.get("ChangeReasonModelList") or ()
        if reason.get("changeType") in CANCEL_CHANGES
    ]
    return next((reason for reason in reversed(told) if reason is not None), None)


def _lines(model: Mapping[str, Any], progress: int, left: bool, why: ReturnReason | None) -> Iterator[LineState]:
    for _, item, line, listing in _named(model):
        yield _line(item, line, listing, progress, left, why)


def lines_by_package(model: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Each line of an order, by its name here, with the destination (basketId) it goes to."""
    for package, _, line, _ in _named(model):
        yield int(package["basketId"]), line


def _named(model: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], str, str]]:
    """Each line with its package, its item, and the names of line and listing."""
    used: set[str] = set()
    for package in model["PackageModelList"] or ():
        for item in package["ItemModelList"] or ():
            for line, listing in _keys(item):
                if line in used:  # the same line id in a second destination of the order
                    line = f"{package.get('basketId')}/{line}"
                used.add(line)
                yield package, item, line, listing


def _keys(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Line id and listing key of an item, one for each SKU it names.

    Orders placed before the shop moved to SKU name none: their only variant bears the item's own number.
    """
    line = str(item["itemDetailId"])
    manage_number = str(item.get("manageNumber") or "")
    if not manage_number:
        yield line, f"?{item.get('itemNumber') or line}"
        return
    variants = [str(sku["variantId"]) for sku in item.get("SkuModelList") or () if sku and sku.get("variantId")]
    for place, variant_id in enumerate(variants or [manage_number.lower()]):
        yield (line if place == 0 else f"{line}.{place}"), listing_key(manage_number, variant_id)


def _line(
    item: Mapping[str, Any], line: str, listing: str, progress: int, left: bool, why: ReturnReason | None
) -> LineState:
    units = int(item["units"])
    if units < 0:
        raise ValueError(f"{units} units")
    removed = item.get("deleteItemFlag") == 1  # taken out of the order: it did not leave with the rest
    left = left and not removed
    cancelled = units if removed or (progress == CANCELLED and not left) else 0
    returned = units if progress == CANCELLED and left else 0
    return LineState(
        line=line,
        listing=listing,
        ordered=units,
        cancelled=cancelled,
        shipped=units if left else 0,
        returned=returned,
        restocked=_restocked(item.get("restoreInventoryFlag"), cancelled + returned),
        return_reason=why if returned else None,
    )


def _restocked(flag: object, freed: int) -> int | None:
    """Units the mall itself put back on sale: 1 does, 2 does not, 0 follows an item setting not shown here."""
    if not freed or flag == 2:
        return 0
    return freed if flag == 1 else None
