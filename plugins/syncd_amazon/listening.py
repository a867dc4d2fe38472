"""Order notifications: subscribed once a day, fetched from the queue, handed on as hints, then deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from syncd.clock import Clock
from syncd.sdk.channel import Hint, HintPage
from syncd.sdk.errors import BrokenAnswer, CallRefused
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.notices import ORDER_CHANGE, read_notice
from syncd_amazon.queue import Queue
from syncd_amazon.settings import AmazonSettings, Subscribed

log = structlog.get_logger()
DAY_SECONDS = 86_400.0
NAME = "syncd"
VERSION = "1.0"
CHANGES = ("OrderStatusChange", "BuyerRequestedChange")


class Listener:
    """Fetches the hints of one account. `remember` is told the orders to read."""

    def __init__(
        self, api: AmazonApi, queue: Queue, settings: AmazonSettings, clock: Clock, remember: Callable[[str], None]
    ) -> None:
        self._api = api
        self._queue = queue
        self._settings = settings
        self._clock = clock
        self._remember = remember
        self._subscribed_until = 0.0
        self._strange = False

    async def listen(self) -> HintPage:
        """The next hints. A message that is not for this shop is left in the queue: it may be somebody's."""
        await self._subscribe()
        hints: list[Hint] = []
        done: list[str] = []
        for message in await self._queue.receive():
            notice = read_notice(message.body, self._settings.seller_id, self._settings.marketplace_id)
            if notice is None:
                self._tell_strange()
                continue
            done.append(message.receipt)
            if notice.number is not None:
                self._remember(notice.number)
                hints.append(Hint(orders=True, id=notice.id))
        return HintPage(tuple(hints), lambda: self._queue.delete(done))

    def _tell_strange(self) -> None:
        if not self._strange:
            log.warning("foreign_message_left", queue=self._settings.queue_arn)
        self._strange = True

    async def _subscribe(self) -> None:
        """See once a day that notifications go to our queue, unless a person looks after it."""
        if self._settings.queue_subscription is Subscribed.BY_HAND or self._clock.monotonic() < self._subscribed_until:
            return
        destination = await self._destination()
        kept = await self._api.get_subscription(ORDER_CHANGE, VERSION)
        if kept is None:
            await self._api.create_subscription(ORDER_CHANGE, subscription_body(destination, self._settings))
            log.info("notifications_subscribed", kind=ORDER_CHANGE)
        elif kept.get("destinationId") != destination:
            raise CallRefused(
                "ORDER_CHANGE of this application goes to another queue: delete that subscription, or set "
                'queue_subscription = "by_hand"'
            )
        self._subscribed_until = self._clock.monotonic() + DAY_SECONDS

    async def _destination(self) -> str:
        """The id under which Amazon knows our queue."""
        for one in await self._api.get_destinations():
            if destination_arn(one) == self._settings.queue_arn:
                return str(one.get("destinationId", ""))
        resource = {"sqs": {"arn": self._settings.queue_arn}}
        try:
            return await self._api.create_destination({"name": NAME, "resourceSpecification": resource})
        except RequestRefused as error:
            raise CallRefused(f"{error}; may Amazon (437568002678) send to the queue? See the README") from None


def subscription_body(destination: str, settings: AmazonSettings) -> dict[str, Any]:
    """What to ask for: changes of state and wishes to cancel, on this marketplace."""
    chosen = {
        "eventFilterType": ORDER_CHANGE,
        "marketplaceIds": [settings.marketplace_id],
        "orderChangeTypes": list(CHANGES),
    }
    return {"payloadVersion": VERSION, "destinationId": destination, "processingDirective": {"eventFilter": chosen}}


def destination_arn(destination: Any) -> str:
    """The queue of a destination; empty for an event bus. Raises BrokenAnswer."""
    if not isinstance(destination, Mapping) or not isinstance(destination.get("resource"), Mapping):
        raise BrokenAnswer("get_destinations: a destination that cannot be read")
    queue = destination["resource"].get("sqs")
    return str(queue.get("arn", "")) if isinstance(queue, Mapping) else ""
