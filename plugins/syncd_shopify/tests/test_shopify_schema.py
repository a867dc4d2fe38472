"""Every document, its variables, and what the emulator answers, against Shopify's published schemas."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncd.sdk.channel import Form, StockWrite
from syncd_shopify.documents import ALL, KEYED, Document
from syncd_shopify.emulator_orders import order_id
from syncd_shopify.wire import set_variables
from syncd_shopify.wire_hooks import hook_input

graphql = pytest.importorskip("graphql", reason="graphql-core is not installed")

REPOSITORY = Path(__file__).resolve().parents[3]
PLACES = [Path(os.environ["SYNCD_SPECS"]) / "shopify"] if os.environ.get("SYNCD_SPECS") else []
PLACES.append(REPOSITORY.parent / "shared" / "specs" / "shopify")
VERSIONS = ("2026-01", "2026-07", "2026-10")
LOCATION = "gid://shopify/Location/124656943"
ITEM = "gid://shopify/InventoryItem/30322695"

VARIABLES: dict[str, dict[str, Any]] = {
    "Shop": {"loc": LOCATION, "orders": ["gid://shopify/Order/1"]},
    "SetAvailable": set_variables(
        [
            StockWrite("30322695", Form.COMPARE_AND_SET, 7, 9),
            StockWrite("30322696", Form.ABSOLUTE, 0),
        ],
        LOCATION,
        "key",
    ),
    "Activate": {"item": ITEM, "loc": LOCATION, "key": "0d9f5f0e-3c54-4a3e-9a57-3f1f2a8e7c11"},
    "Levels": {"ids": [ITEM], "loc": LOCATION},
    "Variants": {"first": 100, "after": None, "loc": LOCATION},
    "Orders": {"first": 25, "after": None, "q": "updated_at:>='2026-11-21T02:55:00Z'", "inner": 20},
    "OrderLines": {"id": "gid://shopify/Order/1", "after": "20", "inner": 20},
    "RefundLines": {"id": "gid://shopify/Refund/1", "after": "20", "inner": 20},
    "ShippedLines": {"id": "gid://shopify/Fulfillment/1", "after": "20", "inner": 20},
    "ToShip": {"id": "gid://shopify/Order/1"},
    "MoreToShip": {"id": "gid://shopify/Order/1", "after": "20", "inner": 50},
    "ToShipLines": {"id": "gid://shopify/FulfillmentOrder/1", "after": "50", "inner": 50},
    "Ship": {
        "f": {
            "notifyCustomer": True,
            "trackingInfo": {"company": "Yamato (JA)", "number": "400012345678"},
            "lineItemsByFulfillmentOrder": [
                {
                    "fulfillmentOrderId": "gid://shopify/FulfillmentOrder/1",
                    "fulfillmentOrderLineItems": [{"id": "gid://shopify/FulfillmentOrderLineItem/1", "quantity": 2}],
                }
            ],
        }
    },
    "Hooks": {"after": None},
    "AddHook": {"topic": "ORDERS_CREATE", "hook": hook_input("ORDERS_CREATE", "https://h.example/webhooks/test")},
    "DropHook": {"id": "gid://shopify/WebhookSubscription/1"},
}


@cache
def schema_of(version: str) -> Any:
    """The schema of a version, built once."""
    name = f"admin_{version}.json.gz"
    for place in PLACES:
        if (place / name).is_file():
            raw = json.loads(gzip.decompress((place / name).read_bytes()))
            return graphql.build_client_schema(raw["data"], assume_valid=True)
    return None


@pytest.fixture(params=VERSIONS)
def schema(request: pytest.FixtureRequest) -> Any:
    built = schema_of(request.param)
    if built is None:
        pytest.skip(f"admin_{request.param}.json.gz is neither in SYNCD_SPECS/shopify nor beside the repository")
    return built


def test_every_document_validates_in_every_version(schema: Any) -> None:
    for document in ALL:
        errors = graphql.validate(schema, graphql.parse(document.text))
        assert errors == [], f"{document.name}: {errors}"


def test_every_document_has_one_operation_of_its_name_and_kind() -> None:
    for document in ALL:
        [operation] = graphql.parse(document.text).definitions
        assert operation.name.value == document.name
        assert (operation.operation.value == "mutation") is document.effect


def test_every_variable_fits_in_every_version(schema: Any) -> None:
    assert VARIABLES.keys() == {document.name for document in ALL}
    for document in ALL:
        [operation] = graphql.parse(document.text).definitions
        given = VARIABLES[document.name]
        values = graphql.get_variable_values(schema, operation.variable_definitions, given)
        assert not isinstance(values, list), f"{document.name}: {values}"
        declared = {one.variable.name.value for one in operation.variable_definitions}
        assert declared == given.keys(), document.name


def test_mutations_carry_the_idempotent_directive() -> None:
    assert all(("@idempotent(key: $key)" in one.text) is (one in KEYED) for one in ALL)
    assert all(one.effect for one in KEYED)


def run_against(schema: Any, document: Document, variables: dict[str, Any], answer: Any) -> Any:
    """Execute the document over the answer as if it were the shop: proves types, and that nothing is missing."""
    root = json.loads(json.dumps(answer))
    named = {
        "Levels": "InventoryItem",
        "Shop": "Order",
        "OrderLines": "Order",
        "RefundLines": "Refund",
        "ShippedLines": "Fulfillment",
        "MoreToShip": "Order",
        "ToShipLines": "FulfillmentOrder",
    }
    for node in [root.get("node"), *(root.get("nodes") or ())]:
        if node is not None:
            node["__typename"] = named[document.name]
    result = graphql.execute(schema, graphql.parse(document.text), root_value=root, variable_values=variables)
    assert result.errors is None, f"{document.name}: {result.errors}"
    return result.data


def shipped(shop: Any, number: str) -> dict[str, Any]:
    """Variables that ship an order as it stands."""
    order = shop.market.orders[number]
    [node] = shop.emulator.desk.order(f"gid://shopify/Order/{order_id(number)}")["fulfillmentOrders"]["nodes"]
    items = [{"id": one["id"], "quantity": one["remainingQuantity"]} for one in node["lineItems"]["nodes"]]
    assert order.lines
    by_order = [{"fulfillmentOrderId": node["id"], "fulfillmentOrderLineItems": items}]
    return {"f": {**VARIABLES["Ship"]["f"], "lineItemsByFulfillmentOrder": by_order}}


@pytest.mark.anyio
async def test_what_the_emulator_answers_fits_the_schema(shop_of: Callable[..., Any], schema: Any) -> None:
    shop = shop_of()
    a, b, _ = shop.market.listings
    order = shop.market.buy({a: 3, b: 2})
    shop.market.cancel(order.number, {"1": 1})
    shop.market.ship(order.number)
    shop.market.give_back(order.number, {"2": 1}, restock=True)
    late = shop.market.buy({b: 1})
    inner = {"inner": 1, "after": "1"}
    search = {"q": "updated_at:>='2026-01-01T00:00:00Z'", "first": 9, "after": None, "inner": 1}
    [node, _] = shop.emulator.orders.search(search, shop.clock.now())[0]["nodes"]
    ids = {
        "OrderLines": node["id"],
        "RefundLines": node["refunds"][0]["id"],
        "ShippedLines": node["fulfillments"][0]["id"],
        "ToShip": node["id"],
        "MoreToShip": node["id"],
        "ToShipLines": f"gid://shopify/FulfillmentOrder/1{node['id'].rsplit('/', 1)[-1]}",
    }
    path = "/admin/api/2026-10/graphql.json"
    transport = httpx.ASGITransport(app=shop.emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://emulated.myshopify.com") as client:
        for document in ALL:
            variables = dict(VARIABLES[document.name])
            if document.name in ids:
                variables |= {"id": ids[document.name], **(inner if "after" in variables else {})}
            if document.name == "Shop":
                variables |= {"orders": [node["id"], "gid://shopify/Order/404"]}
            if document.name == "Ship":
                variables = shipped(shop, late.number)
            call = {"query": document.text, "operationName": document.name, "variables": variables}
            headers = {"X-Shopify-Access-Token": "shpat_emulated"}
            body = (await client.post(path, json=call, headers=headers)).json()
            assert "errors" not in body, body
            assert run_against(schema, document, variables, body["data"]) == body["data"], document.name
