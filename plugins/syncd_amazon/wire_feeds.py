"""The body of a JSON_LISTINGS_FEED and its processing report. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from syncd.sdk.errors import BrokenAnswer
from syncd.sdk.http import shown
from syncd_amazon.wire import availability, patches

MOST_MESSAGES = 25_000


class FeedState(StrEnum):
    """How far Amazon is with a feed or a report."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FATAL = "FATAL"

    @property
    def has_ended(self) -> bool:
        return self in (FeedState.DONE, FeedState.CANCELLED, FeedState.FATAL)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a feed or report, the document it ended with, and when it ended, where told."""

    state: FeedState
    document: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Processed:
    """A processing report: the messages that were refused, and why the whole feed was, if it was."""

    refused: Mapping[int, str] = field(default_factory=dict)
    whole: str = ""


def feed_body(seller: str, rows: Sequence[tuple[int, str, int]]) -> bytes:
    """A feed that sets the numbers of (message, SKU, quantity)."""
    messages = [
        {
            "messageId": message,
            "sku": sku,
            "operationType": "PATCH",
            "productType": "PRODUCT",
            "patches": patches(availability(quantity)),
        }
        for message, sku, quantity in rows
    ]
    header = {"sellerId": seller, "version": "2.0", "issueLocale": "ja_JP"}
    return json.dumps({"header": header, "messages": messages}, ensure_ascii=False, separators=(",", ":")).encode()


def read_progress(body: Any, document: str) -> Progress:
    """The state of a feed (`resultFeedDocumentId`) or a report (`reportDocumentId`). Raises BrokenAnswer."""
    try:
        state = FeedState(body["processingStatus"])
        ended = body.get("processingEndTime")
        ended_at = None if ended is None else datetime.fromisoformat(ended)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BrokenAnswer(f"a feed or report that cannot be read: {type(error).__name__} {error}") from None
    if ended_at is not None and ended_at.tzinfo is None:
        raise BrokenAnswer("a feed or report that ended at a time without a zone")
    return Progress(state, str(body.get(document) or ""), ended_at)


def read_feeds(body: Any) -> list[str]:
    """The ids of feeds in a list. Raises BrokenAnswer."""
    feeds = body.get("feeds") if isinstance(body, Mapping) else None
    if not isinstance(feeds, list):
        raise BrokenAnswer("get_feeds: no feeds in the answer")
    found = [feed.get("feedId") for feed in feeds if isinstance(feed, Mapping)]
    return [feed for feed in found if isinstance(feed, str) and feed]


def read_processed(content: bytes) -> Processed:
    """A processing report. Raises BrokenAnswer for anything else."""
    try:
        body = json.loads(content)
        issues = [issue for issue in body["issues"] if issue["severity"] == "ERROR"]
        taken = int(body["summary"]["messagesAccepted"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenAnswer(f"a processing report that cannot be read: {type(error).__name__}") from None
    refused: dict[int, str] = {}
    whole: list[str] = []
    for issue in issues:
        told = shown(f"{issue.get('code', '')} {issue.get('message', '')}".strip())
        message = issue.get("messageId")
        if type(message) is int:
            refused.setdefault(message, told)
        else:
            whole.append(told)
    return Processed(refused, "; ".join(whole) if whole and not taken else "")
