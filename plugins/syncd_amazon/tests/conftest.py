"""An account of ten SKUs with a channel on it, on a clock moved by hand, and the models its wire is held against."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jsonschema
import pytest

from syncd.model import OrderState
from syncd.sdk.channel import Accepted, Channel, Cursor, Form, OrderPage, Pending, Rejected, StockWrite, WriteReport
from syncd.sdk.grants import MemoryGrants
from syncd.sdk.http import HttpClient, Limiter
from syncd.sdk.settings import Orders, ShopSettings, Writes
from syncd.testing.emulator import EmulatorTransport
from syncd.testing.fakes import BudgetLimiter, ManualClock, run_until, shop_context
from syncd.testing.world import TruthOrder, World
from syncd_amazon.channel import CAPABILITIES, AmazonChannel
from syncd_amazon.emulator import AmazonEmulator
from syncd_amazon.emulator_orders import order_id
from syncd_amazon.settings import AmazonSettings

T = TypeVar("T")


class Recording(EmulatorTransport):
    """Keeps every request with its answer."""

    def __init__(self, app: Any, kept: list[tuple[httpx.Request, httpx.Response]]) -> None:
        super().__init__(app)
        self._kept = kept

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        await answer.aread()
        self._kept.append((request, answer))
        return answer


class Account:
    """One emulated account, and a channel that behaves as under the core. Results are held back for orders only where
    `orders` is on."""

    def __init__(
        self, settings: Mapping[str, Any] | None = None, *, orders: Orders = Orders.OFF, **quirks: str
    ) -> None:
        self.orders = orders
        self.clock = ManualClock()
        self.world = World(self.clock.now)
        self.market = self.world.market("amazon")
        self.world.stock("sku", 100_000)
        self.keys = [f"TEE-{i}" for i in range(10)]
        for key in self.keys:
            self.market.offer(key, "sku", shown=50)
        self.emulator = AmazonEmulator(self.world, self.market, self.clock, **quirks)
        self.settings = {**self.emulator.settings(), **(settings or {})}
        self.sent: list[tuple[httpx.Request, httpx.Response]] = []
        self.grants = MemoryGrants()
        self.channel = self.open()
        self.cursor: Cursor | None = None
        self.states: dict[str, OrderState] = {}

    def open(self, limiter: Limiter | None = None) -> AmazonChannel:
        """Another object of the same shop, as after a restart."""
        within = limiter or BudgetLimiter(self.clock, CAPABILITIES.budgets)

        def http(base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient:
            transport = Recording(self.emulator.app, self.sent)
            client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)
            return HttpClient(client, self.clock, within)

        context = replace(shop_context(self.emulator), http=http, grants=self.grants)
        shop = ShopSettings(name="amazon-main", channel="amazon", writes=Writes.ON, orders=self.orders)
        channel = AmazonChannel(shop, AmazonSettings(**self.settings), context)
        assert isinstance(channel, Channel)
        return channel

    async def run(self, work: Awaitable[T]) -> T:
        return await run_until(self.clock, work)

    def requests(self, method: str, part: str) -> list[httpx.Request]:
        """What was sent so far by that method to a path that holds this part."""
        return [request for request, _ in self.sent if request.method == method and part in request.url.path]

    # -- stock ---------------------------------------------------------------------------------------------

    async def write(self, *rows: tuple[str, int], route: str = "patch", key: str = "key") -> WriteReport:
        [chosen] = [one for one in CAPABILITIES.routes if one.name == route]
        writes = [StockWrite(sku, Form.ABSOLUTE, quantity) for sku, quantity in rows]
        return await self.run(self.channel.write_stock(writes, chosen, key))

    async def collect(
        self, report: WriteReport, *, after: float = 0.0, known: Collection[int] = ()
    ) -> dict[int, Accepted | Rejected]:
        """The results known after so many seconds, by index; those known before are not asked for again."""
        await self.clock.advance(after)
        self.emulator.settle()
        rows = [row for row in report.rows if isinstance(row, Pending) and row.index not in known]
        waiting = {row.receipt: row.index for row in rows}
        told = await self.run(self.channel.collect(list(waiting)))
        return {waiting[receipt]: replace(result, index=waiting[receipt]) for receipt, result in told.items()}

    def shown(self, key: str) -> int:
        return self.market.listings[key].shown

    # -- orders --------------------------------------------------------------------------------------------

    def buy(self, units: int = 1, key: int = 0, **extra: object) -> TruthOrder:
        order = self.market.buy({self.keys[key]: units})
        assert order is not None
        order.extra.update(extra)
        return order

    async def poll(self) -> list[OrderPage]:
        """Fetch until there is no more, states kept as the core would."""
        pages: list[OrderPage] = []
        while not pages or pages[-1].more:
            pages.append(await self.run(self.channel.fetch_orders(self.cursor)))
            self.cursor = pages[-1].cursor
            for state in pages[-1].states:
                self.states[state.number] = state
        return pages

    async def poll_after(self, seconds: float = CAPABILITIES.poll_seconds) -> list[OrderPage]:
        await self.clock.advance(seconds)
        return await self.poll()

    def state(self, order: TruthOrder) -> OrderState:
        return self.states[order_id(order.number)]


# --- the published models -------------------------------------------------------------------------------------

REPOSITORY = Path(__file__).resolve().parents[3]
PLACES = [Path(os.environ["SYNCD_SPECS"]) / "amazon"] if os.environ.get("SYNCD_SPECS") else []
PLACES.append(REPOSITORY.parent / "shared" / "specs" / "amazon")
USED = (
    "listingsItems_2021-08-01", "orders_2026-01-01", "ordersV0", "feeds_2021-06-30", "reports_2021-06-30",
    "notifications",
)  # fmt: skip
formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    """A date-time has a zone."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Models:
    """Amazon's Swagger models: finds the operation of a request, and says what does not fit it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.operations: dict[str, tuple[str, re.Pattern[str], Mapping[str, Any], Mapping[str, Any]]] = {}
        for name in USED:
            model = json.loads((place / "models" / f"{name}.json").read_text(encoding="utf-8"))
            for path, methods in model["paths"].items():
                for method, operation in methods.items():
                    mine = name != "ordersV0" or path.endswith("/shipmentConfirmation")  # its reads end in 2027
                    if mine and isinstance(operation, dict) and "operationId" in operation:
                        pattern = re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path)))
                        self.operations[operation["operationId"]] = (method.upper(), pattern, operation, model)

    def operation(self, request: httpx.Request) -> str:
        """The operation of a request. No path, or no such method, is a failure."""
        path = request.url.raw_path.decode().partition("?")[0]
        found = [
            name
            for name, (method, pattern, _, _) in self.operations.items()
            if method == request.method and pattern.fullmatch(path)
        ]
        assert len(found) == 1, f"{request.method} {path}: {found}"
        return found[0]

    def check(self, request: httpx.Request, answer: httpx.Response) -> str:
        """Validate a request and its answer; gives the operation."""
        name = self.operation(request)
        _, _, operation, model = self.operations[name]
        declared = {one["name"]: one for one in operation["parameters"]}
        query = dict(request.url.params)
        assert query.keys() <= declared.keys(), f"{name}: unknown {query.keys() - declared.keys()}"
        for parameter in declared.values():
            if parameter["in"] == "query":
                self._parameter(name, parameter, query.get(parameter["name"]))
            elif parameter["in"] == "body":
                self.fits(json.loads(request.content), parameter["schema"], model, f"{name} request")
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, f"{name}: status {answer.status_code} is not documented"
        if "schema" in told:
            self.fits(answer.json(), told["schema"], model, f"{name} {answer.status_code}")
        else:
            assert answer.content == b"", f"{name} {answer.status_code} has no body"
        return name

    def _parameter(self, name: str, parameter: Mapping[str, Any], text: str | None) -> None:
        if text is None:
            assert not parameter.get("required"), f"{name}: {parameter['name']} is required"
            return
        schema = {key: parameter[key] for key in ("type", "items", "enum", "format", "maxItems") if key in parameter}
        value: Any = text
        if parameter["type"] == "array":
            assert parameter.get("collectionFormat", "csv") == "csv"
            value = text.split(",")
        elif parameter["type"] == "integer":
            value = int(text)
        self.fits(value, schema, {}, f"{name} {parameter['name']}")

    def fits(self, value: Any, schema: Mapping[str, Any], model: Mapping[str, Any], what: str) -> None:
        whole = {"definitions": model.get("definitions", {}), **schema}
        errors = list(jsonschema.Draft4Validator(whole, format_checker=formats).iter_errors(value))
        assert errors == [], f"{what}: {[f'{list(one.path)} {one.message}' for one in errors][:3]}"

    def file(self, name: str, content: bytes) -> None:
        """Validate a feed or a processing report against its JSON Schema."""
        schema = json.loads((self.place / "schemas" / "feeds" / name).read_text(encoding="utf-8"))
        jsonschema.Draft7Validator(schema).validate(json.loads(content))

    def check_all(self, sent: Sequence[tuple[httpx.Request, httpx.Response]]) -> set[str]:
        """Validate all that went over the wire and that the emulator itself answered; gives the operations."""
        seen: set[str] = set()
        for request, answer in sent:
            if request.method == "PUT" and answer.status_code == 200:
                self.file("listings-feed-schema-v2.json", request.content)
            elif "x-amzn-requestid" in answer.headers and "MissingAuthenticationToken" not in answer.text:
                seen.add(self.check(request, answer))
        return seen


@cache
def published_models() -> Models | None:
    """The models, where they lie beside the repository or in SYNCD_SPECS."""
    return next((Models(place) for place in PLACES if (place / "models").is_dir()), None)


@pytest.fixture
def models() -> Models:
    found = published_models()
    if found is None:
        pytest.skip("Amazon's models are neither in SYNCD_SPECS/amazon nor beside the repository")
    return found


@pytest.fixture
def open_account() -> Iterator[Callable[..., Account]]:
    """Opens an account with switches of the emulator. All that went over its wire is held against the models."""
    opened: list[Account] = []

    def opener(*given: Any, **quirks: Any) -> Account:
        opened.append(Account(*given, **quirks))
        return opened[-1]

    yield opener
    found = published_models()
    for account in opened if found is not None else ():
        found.check_all(account.sent)
