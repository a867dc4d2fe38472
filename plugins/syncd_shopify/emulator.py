"""Shopify in memory: one path for GraphQL, one for tokens, over a simulated market.

Documents are not executed: the emulator answers the operations of `documents.py` by name, and checks what Shopify
checks at run time: `@idempotent` and `changeFromQuantity` from 2026-04, points, rows a call, keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncd.clock import Clock
from syncd.sdk.channel import Webhook
from syncd.testing.emulator import Fault, HttpEmulator
from syncd.testing.mall import Pushes
from syncd.testing.world import Market, World
from syncd_shopify.checking import ALL_ORDERS, SCOPES
from syncd_shopify.emulator_hooks import Pushing
from syncd_shopify.emulator_orders import WINDOW, BadCall, OrderBook
from syncd_shopify.emulator_points import MOST_POINTS, PointBucket, actual_cost, requested_cost
from syncd_shopify.emulator_shipments import FulfillmentDesk
from syncd_shopify.emulator_stock import Inventory

SHOP = "emulated.myshopify.com"
SHOP_ID = "548380009"
LOCATION = "gid://shopify/Location/124656943"
TOKEN = "shpat_emulated"  # noqa: S105  # opens the emulator only
CLIENT_ID, CLIENT_SECRET = "emulated-client", "shpss_emulated"  # open the emulator only
SUPPORTED = ("2026-01", "2026-04", "2026-07", "2026-10")
BAD_KEY = "[API] Invalid API key or access token (unrecognized login or wrong password)"
KEY_LIFE_SECONDS = {"day": 86_400.0, "none": 0.0}


class ShopifyEmulator(HttpEmulator, Pushes):
    """One shop. `signs_in` chooses between a token for ever and the client's credentials."""

    quirks: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "bad_line": ("fails_all", "valid_lines_applied"),
        "error_field": ("full", "short", "none"),
        "quantity_after": ("null", "filled"),
        "key_life": ("day", "none"),
        "failed_key": ("first_answer", "previous_attempt_failed"),
        "unfulfilled_counts_refunded": ("yes", "no"),
        "edit_writes_refund": ("yes", "no"),
        "index_lag_seconds": ("0", "30"),
        "connection_cost": ("recorded", "old_rule"),
        "expires_in": ("86399", "missing"),
        "push_headers": ("x_shopify", "shopify"),
        "bucket": ("2000_100", "1000_50", "4000_200"),
    }

    def __init__(
        self, world: World, market: Market, clock: Clock, *, round_trip_seconds: float = 0.0, **quirks: str
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        size, rate = (float(number) for number in self.quirk["bucket"].split("_"))
        self.points = PointBucket(rate, size)
        self.rates["points"] = self.points
        self.orders = OrderBook(market, self.quirk, LOCATION)
        self.inventory = Inventory(market, self.quirk, LOCATION)
        self.shop_id = SHOP_ID
        self.pushing = Pushing(market, CLIENT_SECRET, SHOP, LOCATION, self.quirk["push_headers"])
        self.pushing.watch()
        self.inventory.changed = self.pushing.levels_changed
        self.desk = FulfillmentDesk(market, self.orders, LOCATION)
        self.scopes = list(SCOPES)
        self.signs_in = "token"
        self.processing_seconds = 0.0
        self.tokens: dict[str, float] = {}
        self.tokens_given = 0
        self.supported = SUPPORTED
        self.granted = True
        self._attempts: dict[str, tuple[str, float, dict[str, Any] | None]] = {}

    def settings(self) -> dict[str, object]:
        table: dict[str, object] = {"shop": SHOP, "location": LOCATION}
        if self.signs_in == "token":
            return {**table, "access_token": SecretStr(TOKEN), "webhook_secret": SecretStr(CLIENT_SECRET)}
        return {**table, "client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET)}

    def registered(self) -> list[str]:
        return [one.uri for one in self.pushing.subscriptions]

    def forget_registration(self) -> None:
        self.pushing.subscriptions.clear()

    def pushed(self) -> list[Webhook]:
        queued = list(self.pushing.queue)
        self.pushing.queue.clear()
        return [Webhook({name.lower(): text for name, text in one.headers.items()}, one.body) for one in queued]

    def routes(self) -> list[Route]:
        return [
            Route("/admin/api/{version}/graphql.json", self.operation("graphql", self._graphql), methods=["POST"]),
            Route("/admin/oauth/access_token", self.operation("token", self._token), methods=["POST"]),
        ]

    def throttled(self, operation: str, wait_seconds: float) -> Response:
        requested = self.points.available(self.clock.monotonic()) + wait_seconds * self.points.per_second
        return self._throttled(requested)

    def unauthorized(self, request: Request) -> Response | None:
        if request.url.path.endswith("/access_token"):
            return None
        token = request.headers.get("x-shopify-access-token", "")
        alive = self.tokens.get(token, -1.0) > self.clock.monotonic() or token == TOKEN
        return None if self.key_works and alive else JSONResponse({"errors": BAD_KEY}, status_code=401)

    # -- tokens --------------------------------------------------------------------------------------------------

    async def _token(self, request: Request) -> Response:
        given = await request.json()
        right = given == {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
        if not self.key_works or not right:
            return JSONResponse({"error": "invalid_client"}, status_code=400)
        self.tokens_given += 1
        token = f"shpat_emulated_{self.tokens_given}"
        self.tokens[token] = self.clock.monotonic() + 86_399.0
        answer: dict[str, object] = {"access_token": token, "scope": "read_inventory,write_inventory,read_orders"}
        if self.quirk["expires_in"] != "missing":
            answer["expires_in"] = int(self.quirk["expires_in"])
        return JSONResponse(answer)

    # -- GraphQL -------------------------------------------------------------------------------------------------

    async def _graphql(self, request: Request) -> Response:
        asked = request.path_params["version"]
        version = asked if asked in self.supported else min(self.supported)
        call = await request.json()
        name, variables = call["operationName"], call["variables"]
        requested = requested_cost(name, variables, self.quirk["connection_cost"])
        now = self.clock.monotonic()
        if requested > MOST_POINTS:
            extensions = {"code": "MAX_COST_EXCEEDED", "cost": int(requested), "maxCost": int(MOST_POINTS)}
            return _errors(extensions, "Query cost exceeds the single query max cost limit.")
        if not self.points.admit(now, requested):
            return self._throttled(requested)
        try:
            data, leaving = await self._answer(name, variables, call["query"], version)
        except BadCall as bad:
            return _errors({"code": bad.code}, str(bad))
        actual = actual_cost(name, variables, data, requested)
        self.points.refund(requested - actual)
        report = self.points.report(requested, actual, self.clock.monotonic())
        return _Answer({"data": data, "extensions": report}, {"X-Shopify-API-Version": version}, leaving)

    async def _answer(
        self, name: str, variables: Mapping[str, Any], text: str, version: str
    ) -> tuple[dict[str, Any], Callable[[], None] | None]:
        """The data of an answer, and what is to be noted once it has left."""
        now = self.clock.now()
        if not self.granted:
            raise BadCall("ACCESS_DENIED", f"Access denied for {name} field.")
        if name in ("SetAvailable", "Activate"):
            return await self._mutate(name, variables, text, version), None
        if name == "Orders":
            page, numbers, began = self.orders.search(variables, now)

            def leaving() -> None:
                self.market.delivered(numbers)
                if began is not None:
                    self.market.read_orders_began(began)

            return {"orders": page}, leaving
        if name == "Shop":
            return self._shop(variables, now), None
        if name == "Levels":
            return {"nodes": self.inventory.levels(variables, now)}, None
        if name == "Variants":
            return {"productVariants": self.inventory.variants(variables, now)}, None
        if name in ("ToShip", "MoreToShip", "ToShipLines", "Ship"):
            return self._shipping(name, variables), None
        if name in ("Hooks", "AddHook", "DropHook"):
            return self._hooks(name, variables), None
        connections = {
            "OrderLines": "lineItems",
            "RefundLines": "refundLineItems",
            "ShippedLines": "fulfillmentLineItems",
        }
        if name not in connections:
            raise BadCall("undefinedField", f"no operation {name}")
        return {"node": self.orders.rest(connections[name], variables)}, None

    def _shop(self, variables: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        self.orders.window = None if ALL_ORDERS in self.scopes else WINDOW
        return {
            "shop": {"id": f"gid://shopify/Shop/{self.shop_id}", "myshopifyDomain": SHOP},
            "location": self.inventory.location() if variables["loc"] == LOCATION else None,
            "locations": {"nodes": self.inventory.locations()},
            "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in self.scopes]},
            "nodes": self.orders.aged(variables["orders"], now),
        }

    def _shipping(self, name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        if name == "Ship":
            return {"fulfillmentCreate": self.desk.create(variables["f"])}
        if name == "ToShip":
            return {"order": self.desk.order(variables["id"])}
        connection = "fulfillmentOrders" if name == "MoreToShip" else "lineItems"
        return {"node": self.desk.rest(variables["id"], connection, variables["after"], variables["inner"])}

    def _hooks(self, name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        if name == "Hooks":
            return {"webhookSubscriptions": self.pushing.listed(variables["after"])}
        if name == "AddHook":
            return {"webhookSubscriptionCreate": self.pushing.add(variables["topic"], variables["hook"])}
        return {"webhookSubscriptionDelete": self.pushing.drop(variables["id"])}

    # -- mutations and their keys --------------------------------------------------------------------------------

    async def _mutate(self, name: str, variables: Mapping[str, Any], text: str, version: str) -> dict[str, Any]:
        field = "inventorySetQuantities" if name == "SetAvailable" else "inventoryActivate"
        if "@idempotent(key: $key)" not in text:
            if version >= "2026-04":
                told = "The @idempotent directive is required for this mutation but was not provided."
                raise BadCall("BAD_REQUEST", told)
            return {field: self._apply(name, variables, version)}
        if not variables.get("key"):
            raise BadCall("INVALID_VARIABLE", "key must not be blank")
        return {field: await self._once(name, variables, version)}

    async def _once(self, name: str, variables: Mapping[str, Any], version: str) -> dict[str, Any]:
        """Apply under a key: the same input gets the first answer again, while the key is kept."""
        key = str(variables["key"])
        said = json.dumps([name, variables], sort_keys=True)
        known = self._attempts.get(key)
        if known is not None and self.clock.monotonic() <= known[1] + KEY_LIFE_SECONDS[self.quirk["key_life"]]:
            if known[0] != said:
                return _refused(name, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
            if known[2] is None:
                return _refused(name, "IDEMPOTENCY_CONCURRENT_REQUEST")
            if known[2]["userErrors"] and self.quirk["failed_key"] == "previous_attempt_failed":
                return _refused(name, "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")
            return known[2]
        self._attempts[key] = (said, self.clock.monotonic(), None)
        if self.processing_seconds:
            await self.clock.sleep(self.processing_seconds)
        payload = self._apply(name, variables, version)
        self._attempts[key] = (said, self.clock.monotonic(), payload)
        return payload

    def _apply(self, name: str, variables: Mapping[str, Any], version: str) -> dict[str, Any]:
        if name == "SetAvailable":
            return self.inventory.set_quantities(variables["input"], version, self.clock.now())
        return self.inventory.activate(variables)

    # -- answers -------------------------------------------------------------------------------------------------

    def _throttled(self, requested: float) -> Response:
        error = {
            "message": "Throttled",
            "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
        }
        report = self.points.report(requested, None, self.clock.monotonic())
        return JSONResponse({"errors": [error], "extensions": report})

    def _after(self, answer: Response, fault: Fault | None) -> Response:
        """What an answer tells counts as told only when it really leaves, whole."""
        sent = super()._after(answer, fault)
        if sent is answer and isinstance(answer, _Answer) and answer.leaving is not None:
            answer.leaving()
        return sent


class _Answer(JSONResponse):
    """An answer with what is to be noted once it has left."""

    def __init__(self, body: Any, headers: Mapping[str, str], leaving: Callable[[], None] | None) -> None:
        super().__init__(body, headers=headers)
        self.leaving = leaving


def _refused(name: str, code: str) -> dict[str, Any]:
    """A payload that speaks of the key and of no row."""
    group = "inventoryAdjustmentGroup" if name == "SetAvailable" else "inventoryLevel"
    return {group: None, "userErrors": [{"code": code, "field": None, "message": code.replace("_", " ").capitalize()}]}


def _errors(extensions: Mapping[str, object], message: str) -> Response:
    return JSONResponse({"errors": [{"message": message, "extensions": extensions}]})
