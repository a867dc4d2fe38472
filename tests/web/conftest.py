"""The admin API in process, over a store in memory and two shops in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import Connection

from syncd.daemon.booking import book_page
from syncd.daemon.desk import Desk
from syncd.daemon.desk_answers import Refused
from syncd.daemon.facts import Facts, ShopFacts
from syncd.daemon.grants import KeptGrants
from syncd.daemon.hub import Hub, Shop, Status
from syncd.daemon.limits import Budgets
from syncd.daemon.plugins import PluginStatus
from syncd.daemon.running import Running
from syncd.model import LineState, OrderState
from syncd.sdk.channel import SignInPage
from syncd.sdk.settings import ShopSettings, Writes
from syncd.store import shops, stock
from syncd.store.engine import Store
from syncd.store.vault import Vault
from syncd.telemetry import Metrics
from syncd.testing.fakes import ManualClock, open_channel
from syncd.testing.memory import MARKETS, MemoryChannel, MemoryShop
from syncd.testing.world import World
from syncd.web.context import ShopActions, TokenVerifier, WebContext
from syncd.web.routes import build_app

TOKEN = "the-token-of-the-test"
T = TypeVar("T")


@dataclass
class Site:
    """A daemon's HTTP side with what a test needs to see behind it."""

    context: WebContext
    clock: ManualClock
    world: World
    client: httpx.AsyncClient
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(f"/api/v1{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Mapping[str, Any] | None = None, status: int = 200) -> Any:
        answer = await self.client.post(f"/api/v1{path}", json={} if body is None else body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, path: str, body: Mapping[str, Any], status: int = 200) -> Any:
        answer = await self.client.put(f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def rows(self, fn: Callable[[Connection], T]) -> T:
        return await self.context.hub.store.read(fn)

    def shop(self, name: str) -> Shop:
        return next(one for one in self.context.hub.shops.values() if one.name == name)

    def emulator(self, name: str) -> MemoryShop:
        return MARKETS[name]

    def told(self, name: str, key: str, **more: Any) -> None:
        """What a shop tells of a listing from now on, beside the plain facts."""
        self.emulator(name).told[key] = more

    async def sells(self, **numbers: int) -> None:
        """SKUs of the shelf, offered on both shops under the code of the SKU."""
        await self.post("/skus", {"items": [{"code": code} for code in numbers]})
        for name in ("shop-a", "shop-b"):
            items = [{"key": code, "sku": code} for code in numbers]
            await self.post("/listings", {"shop": name, "items": items})
        shelf = [{"sku": code, "number": number} for code, number in numbers.items()]
        await self.post("/stock/set", {"items": shelf})

    async def order(self, name: str, number: str, listing: str, units: int, **more: Any) -> None:
        """An order of a shop, read and booked."""
        await self.clock.advance(60)
        shop, hub = self.shop(name), self.context.hub
        line = LineState(line="1", listing=listing, ordered=units, **more)
        now = self.clock.now_us()
        state = OrderState(number=number, lines=(line,), as_of=self.clock.now(), placed_at=self.clock.now())
        await hub.store.tx(
            lambda conn: book_page(
                conn, hub.facts, shop.facts, [state], began_us=now, answered_us=now, watermark_us=0, now_us=now
            )
        )

    async def free(self, sku: str) -> int:
        return sum(one["free"] for one in (await self.get("/stock", sku=sku))["items"])


def _shop(hub: Hub, world: World, name: str) -> Shop:
    emulator = MemoryShop(world, world.market(name), hub.clock)
    channel = open_channel(MemoryChannel, emulator, shop=name)
    row = shops.ensure_shop(hub.store._conn, name, "memory")
    main = stock.location_ids(hub.store._conn, ["main"])["main"]
    capabilities = channel.capabilities
    facts = ShopFacts(id=row.id, name=name, location_ids=(main,), reads_stock=True, writes=Writes.ON)
    hub.metrics.shop(name)
    shop = Shop(
        facts=facts,
        channel="memory",
        running=Running(name, channel, hub.clock, hub.metrics),
        capabilities=capabilities,
        limiter=Budgets(hub.clock).limiter(),
        poll_seconds=60.0,
        reconcile_seconds=3600.0,
        grants=KeptGrants(hub.store, hub.clock, Vault.passing()).of(name, "memory"),
    )
    shop.status = Status.RUNNING
    hub.shops[shop.id], hub.facts.shops[shop.id] = shop, facts
    return shop


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    clock = ManualClock()
    store = Store.open(None, clock=clock)
    world = World(clock.now)
    hub = Hub(store, clock, Facts(), Metrics(version="test", clock=clock), Random(7))
    for name in ("shop-a", "shop-b"):
        _shop(hub, world, name)
    store._conn.commit()
    asked: list[tuple[str, str | None]] = []

    def asks(what: str) -> Callable[[Any], Any]:
        async def act(name: str | None) -> None:
            asked.append((what, name))
            if what in ("pause", "resume") and name is not None:
                paused = int(what == "pause")
                await store.tx(lambda conn: shops.set_shop(conn, shops.shop_named(conn, name).id, paused=paused))  # type: ignore[union-attr]  # it exists

        return act

    async def backup(path: Path) -> int:
        asked.append(("backup", str(path)))
        return 4096

    async def page(name: str) -> SignInPage:
        asked.append(("sign_in_page", name))
        return SignInPage("https://signin.example/authorize", "the whole address")

    async def sign_in(name: str, brought_back: str) -> None:
        if "code=" not in brought_back:
            raise Refused("there is no code in it", "brought_back")
        asked.append(("sign_in", name))

    settings = {name: ShopSettings(name=name, channel="memory") for name in ("shop-a", "shop-b")}
    context = WebContext(
        hub=hub,
        desk=Desk(hub),
        token=TokenVerifier(TOKEN),
        actions=ShopActions(asks("start"), asks("pause"), asks("resume"), asks("full_sync"), page, sign_in),
        backup=backup,
        version="1.2.3",
        started_us=clock.now_us(),
        settings_of=settings.get,
        plugins=lambda: [
            PluginStatus("memory", "syncd.testing.memory", ("memory",)),
            PluginStatus("bad", "bad", error="boom"),
        ],
        broken_shops=lambda: {"shop-c": "shops.d/shop-c.toml:3: unknown key"},
    )
    transport = httpx.ASGITransport(app=build_app(context))
    headers = {"Authorization": f"Bearer {TOKEN}", "Syncd-User": "mika"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484", headers=headers) as client:
        yield Site(context, clock, world, client, asked)
    await store.aclose()


@pytest.fixture
def with_context(site: Site) -> Callable[..., httpx.AsyncClient]:
    """The same site with another context: a client of it."""

    def make(base_url: str = "http://127.0.0.1:8484", **changes: Any) -> httpx.AsyncClient:
        app = build_app(replace(site.context, **changes))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base_url, headers=headers)

    return make
