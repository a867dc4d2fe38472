"""Order notifications: from the queue to the order, and all that may lie in a queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from pydantic import SecretStr, ValidationError

from syncd.sdk.channel import HintPage
from syncd.sdk.errors import BrokenAnswer, CallRefused, SignInRequired, Throttled, Unavailable
from syncd.sdk.settings import Orders
from syncd.testing.emulator import Fault, FaultKind
from syncd_amazon.api import NOTIFICATION_SCOPE
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_notices import notice
from syncd_amazon.emulator_orders import order_id
from syncd_amazon.emulator_queue import ADDRESS, ARN, KEY_ID, SECRET
from syncd_amazon.notices import read_notice
from syncd_amazon.settings import AmazonSettings

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
QUEUE = {
    "queue_arn": ARN,
    "queue_url": ADDRESS,
    "queue_key_id": SecretStr(KEY_ID),
    "queue_secret": SecretStr(SECRET),
}


@pytest.fixture
def open_queue(open_account: Open) -> Open:
    """Opens an account with a queue whose first sweep is done."""

    async def opener(**settings: Any) -> Any:
        account = open_account({**QUEUE, **settings}, orders=Orders.ON)
        account.market.visible_after = timedelta  # readable by its number at once; the search shows none of two minutes
        await account.poll()
        return account

    return opener


async def take(account: Any) -> HintPage:
    page: HintPage = await account.run(account.channel.listen())
    assert page.acknowledge is not None
    await account.run(page.acknowledge())
    return page


async def test_a_notification_brings_its_order_in_minutes_before_the_sweep(open_queue: Open) -> None:
    account = await open_queue()
    number = order_id(account.buy(3).number)
    await account.poll()
    assert number not in account.states, "Amazon's search shows nothing of the last two minutes"
    account.emulator.queue.put(notice(number))
    page = await take(account)
    assert [(hint.orders, hint.id) for hint in page.hints] == [(True, "n-1")]
    searches = len(account.requests("GET", "/orders/2026-01-01/orders"))
    await account.poll()
    assert account.states[number].lines[0].ordered == 3
    paths = [one.url.path for one in account.requests("GET", "/orders/2026-01-01/orders")[searches:]]
    assert paths == [f"/orders/2026-01-01/orders/{number}"], "one order is read, the sweep's budget is left alone"


async def test_hints_leave_the_burst_of_the_search_to_fences_and_sweeps(open_queue: Open) -> None:
    account = await open_queue()
    searches = account.emulator.calls["search_orders"]
    for number in range(20):
        await account.clock.advance(5)
        account.emulator.queue.put(notice(order_id(account.buy(1).number), id_=f"n-{number}"))
        await take(account)
        await account.poll()
    assert len(account.states) == 20
    assert account.emulator.calls["search_orders"] == searches


async def test_a_message_leaves_the_queue_only_once_its_hint_was_taken(open_queue: Open) -> None:
    account = await open_queue()
    account.emulator.queue.put(notice("250-1234567-1234567"))
    await account.run(account.channel.listen())
    assert account.emulator.queue.messages.keys() == {1}, "nobody took the hint: the daemon died here"
    await account.clock.advance(61)
    assert len((await take(account)).hints) == 1
    assert not account.emulator.queue.messages


async def test_what_is_not_for_this_shop_is_left_and_does_no_harm(open_queue: Open) -> None:
    account = await open_queue()
    strange = [
        "", "null", "[]", "7", "{", "[" * 100_000, '{"NotificationType": "ORDER_CHANGE"}',
        '{"NotificationType": "ORDER_CHANGE", "Payload": {"OrderChangeNotification": []}}',
        notice("250-1234567-1234567", seller="A1OTHER"), notice("250-1234567-1234567", market="ATVPDKIKX0DER"),
        notice("../../listings"), '{"NotificationType": "FEED_PROCESSING_FINISHED"}',
    ]  # fmt: skip
    for body in strange:
        account.emulator.queue.put(body)
    account.emulator.queue.put(notice("250-7654321-1234567"))
    hints = [*(await take(account)).hints, *(await take(account)).hints]
    assert len(hints) == 1
    assert len(account.emulator.queue.messages) == len(strange)
    await account.poll()
    assert [one.url.path.rsplit("/", 1)[1] for one in account.requests("GET", "/orders/2026-01-01/orders/")] == [
        "250-7654321-1234567"
    ]


async def test_an_order_that_is_not_there_and_one_that_amazon_ships_change_nothing(open_queue: Open) -> None:
    account = await open_queue()
    account.emulator.queue.put(notice("250-0000000-0000000"))
    account.emulator.queue.put(notice("250-0000000-0000001", by="AFN"))
    assert len((await take(account)).hints) == 1
    assert not account.emulator.queue.messages
    pages = await account.poll()
    assert [page.states for page in pages] == [(), ()]
    assert account.states == {}


async def test_a_hint_moves_neither_the_cursor_nor_what_is_known_to_be_read(open_queue: Open) -> None:
    account = await open_queue()
    before = account.cursor
    account.emulator.queue.put(notice(order_id(account.buy().number)))
    await take(account)
    first = await account.run(account.channel.fetch_orders(before))
    assert (first.cursor, first.more, first.seen_until) == (before, True, None)


async def test_more_hints_than_one_page_are_read_page_by_page(open_queue: Open) -> None:
    account = await open_queue()
    numbers = [order_id(account.buy(key=i % 10).number) for i in range(25)]
    for i, number in enumerate(numbers):
        account.emulator.queue.put(notice(number, id_=f"n-{i}"))
    for _ in range(3):
        await take(account)
    pages = await account.poll()
    assert [len(page.states) for page in pages] == [10, 10, 5, 0]
    assert set(numbers) <= account.states.keys()


async def test_the_daemon_subscribes_and_notices_within_a_day_that_its_subscription_was_deleted(
    open_queue: Open,
) -> None:
    account = await open_queue()
    await account.run(account.channel.listen())
    desk = account.emulator.subscriptions
    assert [one["resource"]["sqs"]["arn"] for one in desk.kept] == [ARN]
    chosen = desk.by_kind["ORDER_CHANGE"]["processingDirective"]["eventFilter"]
    assert chosen["orderChangeTypes"] == ["OrderStatusChange", "BuyerRequestedChange"]
    desk.by_kind.clear()
    await account.run(account.channel.listen())
    assert not desk.by_kind, "looked after once a day"
    await account.clock.advance(86_400)
    await account.run(account.channel.listen())
    assert desk.by_kind.keys() == {"ORDER_CHANGE"}
    assert len(desk.kept) == 1


async def test_a_subscription_of_another_tool_is_left_alone_and_said(open_queue: Open) -> None:
    account = await open_queue()
    other = {"subscriptionId": "s", "payloadVersion": "1.0", "destinationId": "another"}
    account.emulator.subscriptions.by_kind["ORDER_CHANGE"] = other
    with pytest.raises(CallRefused, match="by_hand"):
        await account.run(account.channel.listen())
    assert account.emulator.subscriptions.by_kind["ORDER_CHANGE"] == other


async def test_a_subscription_looked_after_by_hand_needs_no_call_of_the_notifications_api(open_queue: Open) -> None:
    account = await open_queue(queue_subscription="by_hand")
    await account.run(account.channel.listen())
    assert account.requests("GET", "/notifications/") == []


async def test_a_queue_that_amazon_may_not_send_to_is_said_with_the_way_out(open_queue: Open) -> None:
    account = await open_queue()
    account.emulator.subscriptions.may_send = False
    with pytest.raises(CallRefused, match="may Amazon"):
        await account.run(account.channel.listen())


async def test_destinations_are_asked_for_with_a_token_of_the_application_itself(open_queue: Open) -> None:
    account = await open_queue()
    await account.run(account.channel.listen())
    asked = [one.content.decode() for one in account.requests("POST", "/auth/o2/token")]
    assert sum("client_credentials" in body for body in asked) == 1
    assert all("refresh_token" not in body for body in asked if "client_credentials" in body)
    assert NOTIFICATION_SCOPE == "sellingpartnerapi::notifications"


async def test_a_wrong_queue_key_and_other_trouble_of_the_queue_are_classed(open_queue: Open) -> None:
    account = await open_queue(queue_secret=SecretStr("wrong"))
    with pytest.raises(SignInRequired, match="queue_secret"):
        await account.run(account.channel.listen())
    account = await open_queue()
    account.emulator.queue.refuse = "RequestThrottled"
    with pytest.raises(Throttled):
        await account.run(account.channel.listen())
    account.emulator.queue.refuse = "QueueDoesNotExist"
    with pytest.raises(BrokenAnswer, match="QueueDoesNotExist"):
        await account.run(account.channel.listen())
    account.emulator.queue.refuse = ""
    for trouble in (Fault("queue", FaultKind.STATUS, status=503), Fault("queue", FaultKind.LOST_BEFORE)):
        account.emulator.faults.add(trouble)
        with pytest.raises(Unavailable):
            await account.run(account.channel.listen())
    for kind in (FaultKind.GARBAGE, FaultKind.CUT_OFF):
        account.emulator.queue.put(notice("250-1234567-1234567"))
        account.emulator.faults.add(Fault("queue", kind))
        with pytest.raises(BrokenAnswer):
            await account.run(account.channel.listen())


async def test_without_a_queue_nothing_listens_and_the_extra_is_not_needed(
    open_account: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    assert not open_account(orders=Orders.ON).channel.capabilities.listens
    assert not open_account(QUEUE, orders=Orders.OFF).channel.capabilities.listens
    with pytest.raises(ValueError, match=r"pip install 'syncd\[amazon-sqs\]'"):
        open_account(QUEUE, orders=Orders.ON)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"queue_arn": ARN}, "queue_arn needs"),
        ({"queue_url": ADDRESS}, "do nothing without queue_arn"),
        ({**QUEUE, "queue_url": "http://queue.example.com/1/a"}, "https"),
        ({**QUEUE, "queue_arn": "arn:aws:sns:ap-northeast-1:123456789012:syncd"}, "queue_arn"),
    ],
)
def test_a_queue_that_is_not_whole_is_refused(open_account: Open, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        open_account(given)


def test_the_address_of_a_queue_follows_from_its_arn(open_account: Open) -> None:
    given = {**QUEUE, "queue_url": None}
    settings = AmazonSettings(**{**open_account().settings, **given})
    assert settings.queue_address == "https://sqs.ap-northeast-1.amazonaws.com/123456789012/syncd"


def test_the_notifications_of_these_tests_and_of_the_schema_itself_are_read(models: Any) -> None:
    place = models.place / "schemas" / "notifications" / "OrderChangeNotification.json"
    schema = json.loads(place.read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(notice("250-1234567-1234567")), schema)
    [example] = schema["examples"]
    read = read_notice(json.dumps(example), "A3TH9S8BH6GOGM", "ATVPDKIKX0DER")
    assert read is not None
    assert read.number == "903-8868176-2219830"


async def test_requests_and_answers_of_the_notifications_api_fit_its_model(open_queue: Open, models: Any) -> None:
    account = await open_queue()
    await account.run(account.channel.listen())
    assert {"getDestinations", "createDestination", "getSubscription", "createSubscription"} <= models.check_all(
        account.sent
    )


@pytest.mark.parametrize("setting", AmazonEmulator.quirks["order_change_of_new"])
async def test_an_order_is_found_whether_or_not_amazon_notifies_of_brand_new_ones(
    open_account: Open, setting: str
) -> None:
    account = open_account(QUEUE, orders=Orders.ON, order_change_of_new=setting)
    account.market.visible_after, account.market.hides_changed = timedelta, timedelta()
    account.emulator.send_notices()
    await account.run(account.channel.listen())
    await account.poll()
    order = account.buy(3)
    told = await take(account)
    assert [hint.orders for hint in told.hints] == ([True] if setting == "sent" else [])
    await account.poll()
    assert (order_id(order.number) in account.states) == (setting == "sent")
    account.market.cancel(order.number, {"1": 1})
    assert len((await take(account)).hints) == 1, "a change is told of under every setting"
    await account.poll()
    [line] = account.states[order_id(order.number)].lines
    assert line.ordered - line.cancelled == 2


async def test_without_notifications_the_sweep_finds_a_brand_new_order(open_account: Open) -> None:
    account = open_account(QUEUE, orders=Orders.ON, order_change_of_new="not_sent")
    account.emulator.send_notices()
    await account.run(account.channel.listen())
    await account.poll()
    order = account.buy(3)
    await account.clock.advance(400)
    await account.poll()
    assert order_id(order.number) in account.states
