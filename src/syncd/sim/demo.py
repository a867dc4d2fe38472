"""`make demo`: the shipped daemon on real settings files and real sockets, against simulated malls with buyers.

The malls run in a loop of their own (`served.py`); the daemon in this one. The stock is opened as a merchant would:
SKUs, pieces and listings through the admin API, then each shop is started. At the end the daemon's own books are
compared with what was really sold.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import anyio
import httpx
from anyio import from_thread
from anyio.from_thread import BlockingPortal
from rich.console import Console

from syncd import app, telemetry
from syncd.clock import Clock, SystemClock
from syncd.config import Config, admin_token, load
from syncd.daemon.life import Daemon
from syncd.sim.screen import Frame, Quiet, Scene, Screen, picture
from syncd.sim.served import Malls, View, quantile
from syncd.sim.settings_files import free_port, write_settings
from syncd.sim.stalls import BATCH_SECONDS, KEPT, POLL_SECONDS, SHORTENED
from syncd.sim.verdict import Admin, Verdict, judge

T = TypeVar("T")

FRAME_SECONDS = 0.5
DELIVERY_SECONDS = 12.0
DELIVERED_SKUS = 3
FLASH_SHARE = 0.35
"""A short demo has its flash sale after this share of its time."""
STILL_SECONDS = 100.0
"""Longest wait for everything to be right after the last buyer left. It takes 5 to 20 seconds: a number read while
somebody bought is certain only when the orders of that moment must be visible, and some are read twice.
"""
START_SECONDS = 120.0


def run_demo(
    seconds: float | None = None,
    terminal: bool | None = None,
    svg: Path | None = None,
    seed: int = 1,
    as_json: bool = False,
) -> int:
    """Run the demo: for so many seconds of shopping, or until Ctrl-C. Returns the exit code.

    With a terminal a live table; without one a single JSON line on standard output, progress on standard error.
    0 only if no order was lost or booked twice, no stale raise was written, and in the end every shop shows what
    the rule chain says.
    """
    live = not as_json and (sys.stdout.isatty() if terminal is None else terminal)
    clock = SystemClock()
    flash_after = min(15.0, (seconds or 60.0) * FLASH_SHARE)
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as name, from_thread.start_blocking_portal() as portal:
        folder = Path(name)
        (folder / "sftp").mkdir()
        malls = Malls(folder / "sftp", clock, seed, flash_after)
        ended, _ = portal.start_task(malls.serve)
        try:
            config = write_settings(folder, malls.tables, malls.addresses, free_port())
            with (folder / "daemon.log").open("w", encoding="utf-8") as log:
                telemetry.set_up("info", "json", stream=log)
                demo = Demo(malls, portal, clock, config, seconds, Random(seed), svg)  # noqa: S311  # deliveries
                try:
                    result = anyio.run(demo.play, live)
                finally:
                    telemetry.set_up("warning")
        finally:
            portal.call(malls.close)
            ended.result()
    return tell(result, live)


def _latency(seconds: Sequence[float]) -> dict[str, float | None]:
    found = {name: quantile(seconds, share) for name, share in (("p50_s", 0.5), ("p99_s", 0.99))}
    return {name: None if one is None else round(one, 3) for name, one in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run ends with: the view, the verdict, and how long it took."""

    view: View
    verdict: Verdict
    seconds: float
    still_seconds: float

    def as_line(self) -> dict[str, object]:
        """The one JSON line."""
        view, verdict = self.view, self.verdict
        return {
            "orders_placed": view.orders,
            "orders_booked": verdict.orders_booked,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "stale_raises": view.stale_raises,
            "gap_units": view.gap_units,
            "oversold": view.oversold,
            "stockouts": len(view.stockouts),
            **{f"stockout_{name}": seconds for name, seconds in _latency(view.stockouts).items()},
            "drift_end": len(verdict.wrong),
            "pushes": sum(shop.writes for shop in view.shops),
            "rate_violations": view.rate_violations,
            "shops": [shop.name for shop in view.shops],
            "kinds": [shop.kind for shop in view.shops],
            "stockout_by_shop": {shop.name: _latency(shop.stockouts) for shop in view.shops},
            "batch_seconds": BATCH_SECONDS,
            "poll_seconds": POLL_SECONDS,
            "shortened": list(SHORTENED),
            "seconds": round(self.seconds, 1),
            "still_after_seconds": round(self.still_seconds, 1),
        }


@dataclass(slots=True)
class Demo:
    """One run. `play` is its whole course; the malls are asked through the portal."""

    malls: Malls
    portal: BlockingPortal
    clock: Clock
    config_path: Path
    seconds: float | None
    rng: Random
    svg: Path | None = None
    phase: str = "starting the daemon"
    status: dict[str, Any] = field(default_factory=dict)
    began: float = 0.0
    deliveries: int = 0
    last_sale: Frame = field(default_factory=lambda: Frame(View()))
    leave: anyio.Event = field(default_factory=anyio.Event)
    stopped: anyio.Event = field(default_factory=anyio.Event)

    async def play(self, live: bool) -> Result:
        """Start the daemon, open the shops, let buyers in, wait until all is still, judge, stop."""
        self.began = self.clock.monotonic()
        config = load(self.config_path)
        daemon = await app.start(config)
        metrics = f"http://{config.settings.listen}/metrics"
        scene = Scene(BATCH_SECONDS, POLL_SECONDS, metrics, self.config_path, KEPT, SHORTENED)
        screen = Screen(scene, Console()) if live else Quiet(scene, sys.stderr)
        try:
            async with self._client(config) as client, anyio.create_task_group() as group:
                admin = Admin(client)
                group.start_soon(self._daemon, daemon)
                group.start_soon(self._signals, group.cancel_scope)
                with screen:
                    group.start_soon(self._show, screen, admin)
                    result = await self._course(admin)
                    screen.show(self._frame())
                if self.svg is not None:
                    picture(replace(scene, config=Path("syncd.toml")), self.last_sale, self.svg)
                daemon.stop()
                await self.stopped.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await daemon.hub.store.aclose()
        return result

    def _client(self, config: Config) -> httpx.AsyncClient:
        token = admin_token(config.settings)
        assert token is not None  # made by `start`
        return httpx.AsyncClient(
            base_url=f"http://{config.settings.listen}",
            headers={"Authorization": f"Bearer {token.get_secret_value()}", "Syncd-User": "demo"},
            timeout=30.0,
            trust_env=False,
        )

    async def _daemon(self, daemon: Daemon) -> None:
        await daemon.run(signals=False)
        self.stopped.set()

    async def _signals(self, scope: anyio.CancelScope) -> None:
        """The first Ctrl-C sends the buyers home, the second ends it all."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
            async for _ in received:
                if self.leave.is_set():
                    scope.cancel()
                self.leave.set()

    async def _ask(self, fn: Callable[..., T], *args: Any) -> T:
        """Call a method of the malls in their own loop."""
        return await asyncio.wrap_future(self.portal.start_task_soon(fn, *args))

    # -- the course ----------------------------------------------------------------------------------------------

    async def _course(self, admin: Admin) -> Result:
        await self._until(lambda: self._shops_are(lambda shop: shop["status"] == "running"))
        self.phase = "opening the stock"
        await self._open_stock(admin)
        self.phase = "reading every shop for the first time"
        await self._until(
            lambda: self._shops_are(lambda shop: shop["lag_seconds"] is not None and not any(shop["outbox"].values()))
        )
        self.phase = "buyers are shopping"
        await self._ask(self.malls.open_doors, self.seconds)
        await self._shopping(admin)
        self.phase = "buyers have left, waiting until all is still"
        return await self._still(admin)

    async def _open_stock(self, admin: Admin) -> None:
        """The first day: what lies on the shelf, then what each shop lists, then a person says go."""
        known = await self._ask(self.malls.merchant)
        plain = [{"code": sku} for sku in known.pieces]
        bundles = [{"code": sku, "parts": dict(parts)} for sku, parts in known.bundles.items()]
        await admin.post("/skus", {"items": [*plain, *bundles]})
        await admin.post("/stock/open", {"items": [{"sku": sku, "number": n} for sku, n in known.pieces.items()]})
        for shop, listings in known.listings.items():
            rows = [{"key": one.key, "sku": one.sku, "pack": one.pack} for one in listings]
            await admin.post("/listings", {"shop": shop, "items": rows})
            await admin.post(f"/shops/{shop}/start")

    async def _shopping(self, admin: Admin) -> None:
        """Until the buyers' time is over or a person sends them home; goods arrive meanwhile."""
        delivery_at = self.clock.monotonic() + DELIVERY_SECONDS
        while not self.leave.is_set() and not self.malls.crowd.stopped:
            await self.clock.sleep(FRAME_SECONDS / 2)
            if self.clock.monotonic() >= delivery_at:
                delivery_at += DELIVERY_SECONDS
                await self._deliver(admin)
        self.last_sale = self._frame()
        await self._ask(self.malls.close_doors)

    async def _deliver(self, admin: Admin) -> None:
        """Goods arrive for some of what is nearly sold out, and staff book them."""
        self.deliveries += 1
        scarce = await self._ask(self.malls.scarce, 4 * DELIVERED_SKUS)
        items = []
        for sku in self.rng.sample(scarce, DELIVERED_SKUS):
            pieces = self.rng.randint(4, 10)
            await self._ask(self.malls.deliver, sku, pieces)
            items.append({"sku": sku, "by": pieces})
        await admin.post(
            "/stock/adjust", {"items": items, "key": f"delivery-{self.deliveries}", "note": "goods received"}
        )

    async def _still(self, admin: Admin) -> Result:
        """Wait until books and shops agree with what was sold, or for as long as that may take at most."""
        began = self.clock.monotonic()
        while True:
            await self.clock.sleep(1.0)
            truth = await self._ask(self.malls.truth)
            view, now = self.malls.view, self.clock.monotonic()
            verdict = await judge(admin, truth, view.wrong)
            if verdict.settled or now - began > STILL_SECONDS:
                self.phase = "done" if verdict.clean else "not everything came right"
                return Result(view=view, verdict=verdict, seconds=now - self.began, still_seconds=now - began)

    # -- what is seen ----------------------------------------------------------------------------------------------

    def _frame(self) -> Frame:
        return Frame(self.malls.view, self.status, self.phase, self.clock.monotonic() - self.began)

    async def _show(self, screen: Screen | Quiet, admin: Admin) -> None:
        while True:
            try:
                self.status = await admin.get("/status")
            except httpx.TransportError:
                self.status = {}  # it does not listen yet
            screen.show(self._frame())
            await self.clock.sleep(FRAME_SECONDS)

    def _shops_are(self, so: Callable[[dict[str, Any]], bool]) -> bool:
        shops = self.status.get("shops", ())
        return bool(shops) and all(so(shop) for shop in shops)

    async def _until(self, so: Callable[[], bool]) -> None:
        """Wait for the daemon. Raises TimeoutError when it does not come."""
        with self.clock.limit(START_SECONDS):
            while not so() and not self.leave.is_set():
                await self.clock.sleep(FRAME_SECONDS / 2)


def tell(result: Result, live: bool) -> int:
    """Say how it went and return the exit code."""
    verdict = result.verdict
    for line in (*verdict.stale, *verdict.wrong)[:20]:
        print(f"syncd demo: {line}", file=sys.stderr)
    print(json.dumps(result.as_line()))
    if live:
        print(
            "nothing lost, nothing doubled, every shop is right" if verdict.clean else "NOT CLEAN: see the lines above"
        )
    return 0 if verdict.clean else 1
