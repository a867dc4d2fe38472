"""Every request and answer of adapter and emulator against Amazon's published models, and their own sandbox cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from syncd.model import OrderState
from syncd.sdk.channel import Carrier, Shipment, ShopContext
from syncd.sdk.errors import BrokenAnswer
from syncd.sdk.http import HttpClient
from syncd.testing.emulator import Fault, FaultKind
from syncd.testing.fakes import ManualClock
from syncd_amazon.api import AmazonApi, RequestRefused
from syncd_amazon.emulator_orders import order_id
from syncd_amazon.orders import one_order
from syncd_amazon.settings import AmazonSettings
from syncd_amazon.wire import Holder, patch_body, read_item, read_items, read_submission
from syncd_amazon.wire_feeds import read_progress
from syncd_amazon.wire_orders import is_ours, read_order, read_orders

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
SETTINGS = AmazonSettings(
    seller_id="A2EXAMPLESELLER", client_id="id", client_secret=SecretStr("s"), refresh_token=SecretStr("r")
)
A, B, C = "TEE-0", "TEE-1", "TEE-2"
OURS = {
    "patchListingsItem",
    "getListingsItem",
    "searchListingsItems",
    "searchOrders",
    "getOrder",
    "confirmShipment",
    "createFeedDocument",
    "createFeed",
    "getFeeds",
    "getFeed",
    "getFeedDocument",
    "createReport",
    "getReport",
    "getReportDocument",
}


async def test_every_operation_sends_and_answers_what_the_models_say(open_account: Open, models: Any) -> None:
    account = open_account()
    account.market.offer("a,b/c d#ア", "sku", shown=3)
    await account.run(account.channel.check())
    await account.poll()
    order = account.buy(3)
    account.emulator.orders.request_cancel(order.number)
    account.emulator.listings.fba.add(C)
    for route in ("patch", "feed"):
        await account.collect(await account.write((A, 5), ("a,b/c d#ア", 4), ("nobody", 1), route=route), after=60)
    account.emulator.faults.add(Fault("create_feed", FaultKind.LOST_AFTER))
    await account.write((B, 5), route="feed")
    await account.run(
        account.channel.set_listing_options("TEE-4", {"lead_time_days": "3", "restock_date": "2026-12-24"})
    )
    await account.run(account.channel.set_listing_options("TEE-4", {"restock_date": ""}))
    await account.poll_after()
    shipment = Shipment(order_id(order.number), Carrier.SAGAWA, "4001", account.clock.now(), {})
    await account.run(account.channel.send_shipments([shipment]))
    account.market.cancel(account.buy(2, key=3).number)
    await account.poll_after()
    await account.run(_all(account))
    assert models.check_all(account.sent) == OURS


async def _all(account: Any) -> list[Any]:
    return [info async for info in account.channel.list_listings()]


async def test_refusals_of_the_emulator_have_the_shape_of_the_models(open_account: Open, models: Any) -> None:
    account = open_account()
    api = account.channel._api
    for call in (
        api.get_order("1", "FULFILLMENT"),
        api.get_feed("1"),
        api.get_report("1"),
        api.get_feed_document("1"),
        api.get_report_document("1"),
        api.create_feed("1"),
        api.search_listings({"pageSize": "99"}),
        api.search_orders({}),
        api.confirm_shipment("1", {"marketplaceId": "x", "packageDetail": {}}),
    ):
        with pytest.raises(RequestRefused):
            await account.run(call)
    account.sent.pop()  # that last request was made not to fit
    assert len(models.check_all(account.sent)) == 8


async def test_feed_and_processing_report_fit_their_schemas(open_account: Open, models: Any) -> None:
    account = open_account(unknown_in_feed="refused")
    report = await account.write((A, 5), (B, 6), route="feed")
    account.market.listings[B].exists = False
    await account.collect(report, after=30)
    [put] = account.requests("PUT", "/tortuga/")
    models.file("listings-feed-schema-v2.json", put.content)
    [answer] = [
        answer for request, answer in account.sent if request.method == "GET" and "/tortuga/" in str(request.url)
    ]
    models.file("listings-feed-processing-report-schema-v2.json", answer.content)
    assert answer.json()["summary"]["messagesInvalid"] == 1


# --- the models' own sandbox cases --------------------------------------------------------------------------------


class Sandbox:
    """The static sandbox: answers an operation with the first case all of whose parameters match."""

    def __init__(self, models: Any) -> None:
        self.models = models
        self.clock = ManualClock()
        context = ShopContext(shop="t", clock=self.clock, http=self._http, files=_no_files, open_orders=_no_orders)
        self.api = AmazonApi("https://sandbox.example", SETTINGS, context)

    def _http(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
        transport = httpx.MockTransport(self._reply)
        return HttpClient(httpx.AsyncClient(transport=transport, base_url=base_url, trust_env=False), self.clock)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/o2/token":
            return httpx.Response(200, json={"access_token": "Atza|sandbox", "expires_in": 3600})
        name = self.models.operation(request)
        _, pattern, operation, _ = self.models.operations[name]
        given = dict(request.url.params)
        path = request.url.raw_path.decode().partition("?")[0]
        names = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        given |= dict(zip(names, pattern.fullmatch(path).groups(), strict=True))
        body = json.loads(request.content) if request.content else None
        for status, case in sorted(cases_of(operation), key=lambda one: one[0], reverse=True):
            if matches(case["request"]["parameters"], given, body):
                answer = case.get("response")
                return httpx.Response(status) if answer is None else httpx.Response(status, json=answer)
        raise AssertionError(f"{name}: no sandbox case for {given} {body}")


def cases_of(operation: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    return [
        (int(status), case)
        for status, told in operation["responses"].items()
        for case in (told.get("x-amzn-api-sandbox") or {}).get("static", [])
    ]


def matches(wanted: Mapping[str, Any], given: Mapping[str, str], body: Any) -> bool:
    for name, rule in wanted.items():
        if "value" not in rule:
            continue  # a body of {} matches anything
        right = rule["value"]
        if name in ("body", "payload"):
            if body != right:
                return False
        elif given.get(name) != (",".join(right) if isinstance(right, list) else str(right)):
            return False
    return True


def _no_files(address: object) -> Any:
    raise AssertionError("Amazon has no files")


async def _no_orders() -> list[str]:
    return []


@pytest.fixture
def sandbox(models: Any) -> Sandbox:
    return Sandbox(models)


def case(models: Any, operation: str, status: int, number: int = 0) -> Mapping[str, Any]:
    _, _, told, _ = models.operations[operation]
    found: Mapping[str, Any] = [one for code, one in cases_of(told) if code == status][number]
    return found


def parameters(found: Mapping[str, Any]) -> dict[str, str]:
    """The query of a case."""
    values = {name: rule.get("value") for name, rule in found["request"]["parameters"].items()}
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in values.items() if value}


async def test_sandbox_patches_are_accepted_valid_or_refused(sandbox: Sandbox, models: Any) -> None:
    body = patch_body({"fulfillment_channel_code": "DEFAULT", "quantity": 7})
    taken = read_submission(await sandbox.api.patch_listing("GM-ZDPI-9B4E", body))
    assert (taken.reason, taken.id) == (None, "f1dc2914-75dd-11ea-bc55-0242ac130003")
    with pytest.raises(BrokenAnswer, match="VALID"):  # only a preview answers so, and we never ask for one
        read_submission(case(models, "patchListingsItem", 200, 1)["response"])
    refused = read_submission(case(models, "patchListingsItem", 200, 2)["response"])
    assert refused.message == "90000900 The attributes are invalid."
    with pytest.raises(RequestRefused, match="Invalid input") as raised:
        await sandbox.api.patch_listing("BadSKU", body)
    assert (raised.value.status, raised.value.code) == (400, "BAD_REQUEST")


async def test_sandbox_items_are_read(sandbox: Sandbox, models: Any) -> None:
    item = await sandbox.api.get_listing("GM-ZDPI-9B4E", "summaries,fulfillmentAvailability")
    assert read_item(item) == read_item(case(models, "getListingsItem", 200)["response"])
    assert read_item(item).holder is Holder.SELLER
    with pytest.raises(RequestRefused):
        await sandbox.api.get_listing("BadSKU", "summaries")
    asked = parameters(case(models, "searchListingsItems", 200))
    items, token = read_items(await sandbox.api.search_listings(asked))
    assert [shelf.sku for shelf in items] == ["GM-ZDPI-9B4E"]
    assert token
    sandbox.api._settings = SETTINGS.model_copy(update={"seller_id": "SellerId"})
    with pytest.raises(RequestRefused):
        await sandbox.api.search_listings({"marketplaceIds": "invalid"})


async def test_sandbox_orders_become_states(sandbox: Sandbox, models: Any) -> None:
    _, _, operation, _ = models.operations["searchOrders"]
    states: list[OrderState] = []
    for status, one in cases_of(operation):
        if status == 200:
            _no_answer_is_lost(one["response"], states)
    assert states[0].number == "250-1234567-8901234"
    for number in range(3):
        found = case(models, "getOrder", 200, number)
        asked = parameters(found)
        order = one_order(await sandbox.api.get_order(asked["orderId"], asked["includedData"]))
        assert read_order(order).number == asked["orderId"]
    with pytest.raises(RequestRefused, match="InvalidInput"):
        await sandbox.api.get_order("TEST_CASE_400", "FULFILLMENT")


def _no_answer_is_lost(body: Any, states: list[OrderState]) -> None:
    orders, _, _ = read_orders(body)
    for order in orders:
        assert is_ours(order) is (order["fulfillment"].get("fulfilledBy") != "AMAZON")
        state = read_order(order)
        for line, item in zip(state.lines, order["orderItems"], strict=True):
            assert (line.line, line.ordered) == (item["orderItemId"], item["quantityOrdered"])
            assert line.shipped == item["fulfillment"].get("quantityFulfilled", 0)
            assert line.counts.held == item["fulfillment"].get("quantityUnfulfilled", line.counts.held)
        states.append(state)


async def test_sandbox_feeds_and_reports_are_read(sandbox: Sandbox, models: Any) -> None:
    progress = read_progress(await sandbox.api.get_feed("feedId1"), "resultFeedDocumentId")
    assert progress.state == "CANCELLED"
    assert read_progress(await sandbox.api.get_report("ID323"), "reportDocumentId").state == "IN_PROGRESS"
    document = "0356cf79-b8b0-4226-b4b9-0ee058ea5760"
    assert (await sandbox.api.get_feed_document(document)).url.startswith("https://")
    assert (await sandbox.api.get_report_document(document)).id == document
    for call in (
        sandbox.api.get_feed("badFeedId1"),
        sandbox.api.get_report("badReportId1"),
        sandbox.api.get_feed_document("badDocumentId1"),
        sandbox.api.get_report_document("badDocumentId1"),
    ):
        with pytest.raises(RequestRefused):
            await call


async def test_sandbox_shipment_is_confirmed_or_refused(sandbox: Sandbox, models: Any) -> None:
    for status in (204, 400):
        asked = case(models, "confirmShipment", status)["request"]["parameters"]
        number, body = asked["orderId"]["value"], asked.get("payload", asked.get("body"))["value"]
        if status == 204:
            await sandbox.api.confirm_shipment(number, body)
        else:
            with pytest.raises(RequestRefused):
                await sandbox.api.confirm_shipment(number, body)


def test_every_sandbox_case_of_our_operations_fits_its_own_model(models: Any) -> None:
    """Also a check of the checker: it must know the examples that their own author calls good."""
    fitted = 0
    for name in OURS:
        _, _, operation, model = models.operations[name]
        for status, one in cases_of(operation):
            if "schema" in operation["responses"][str(status)]:
                models.fits(one["response"], operation["responses"][str(status)]["schema"], model, name)
                fitted += 1
    assert fitted > len(OURS)
