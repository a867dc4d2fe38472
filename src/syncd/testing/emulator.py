"""Base of an HTTP emulator: admission (latency, scripted faults, documented rate), then the channel's own answer.

An emulator subclasses `HttpEmulator`, adds its routes, and wraps each in `operation(...)`. What its fact sheet
calls not confirmed is a `Quirk` with all its settings, so that tests can run the adapter under each.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import ClassVar

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncd.clock import Clock
from syncd.testing.world import Market, Sent, World

HUGE_BYTES = 50_000_000


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    LATENCY = "latency"  # answer after `seconds`
    STATUS = "status"  # answer `status` without effect, `retry_after` as header
    LOST_BEFORE = "lost_before"  # connection dropped before any effect
    LOST_AFTER = "lost_after"  # effect applied, answer never arrives
    GARBAGE = "garbage"  # 200 with an HTML page, no effect
    GARBAGE_AFTER = "garbage_after"  # effect applied, answer is an HTML page
    CUT_OFF = "cut_off"  # effect applied, body ends in the middle
    HUGE = "huge"  # effect applied, 50 MB of blanks follow the answer
    WRONG_ENCODING = "wrong_encoding"  # effect applied, bytes in the answer that its encoding does not have
    LATE = "late"  # connection dropped at once; what it asked for is done `seconds` later


@dataclass(slots=True)
class Fault:
    """A scripted fault for the next `times` calls of an operation (`*` is any), after `skip` good ones."""

    operation: str
    kind: FaultKind
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 500
    retry_after: float | None = None


class ConnectionLost(Exception):
    """The emulator drops the connection here."""


@dataclass(slots=True)
class RateJudge:
    """A documented rate as a bucket: counts calls beyond it. `slack_seconds` forgives jitter of the network."""

    per_second: float
    burst: float = 1.0
    slack_seconds: float = 0.02
    taken: float = 0.0
    violations: int = 0
    _full_at: float = -math.inf

    def admit(self, now: float, cost: float = 1.0) -> bool:
        """True while the call is within the rate; a refused call takes nothing from the bucket."""
        full_at = max(self._full_at, now) + cost / self.per_second
        if full_at - now > self.burst / self.per_second + self.slack_seconds:
            self.violations += 1
            return False
        self._full_at = full_at
        self.taken += cost
        return True

    def wait_seconds(self, now: float, cost: float = 1.0) -> float:
        """Seconds until a call of that cost fits."""
        return max(0.0, self._full_at - now + cost / self.per_second - self.burst / self.per_second)


@dataclass(slots=True)
class Faults:
    """The script of faults of one emulator."""

    script: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.script.append(fault)

    def take(self, operation: str) -> Fault | None:
        for fault in self.script:
            if fault.operation not in (operation, "*"):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None


Handler = Callable[[Request], Awaitable[Response]]


class Emulator(ABC):
    """One account of one channel, whatever its protocol. Judged by tests through these members."""

    quirks: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Not-confirmed switches of the fact sheet -> their settings, the first is the default."""

    def __init__(
        self, world: World, market: Market, clock: Clock, *, round_trip_seconds: float = 0.0, **quirks: str
    ) -> None:
        unknown = quirks.keys() - self.quirks.keys()
        if unknown:
            raise ValueError(f"{type(self).__name__} has no quirk {sorted(unknown)}; it has {sorted(self.quirks)}")
        self.world = world
        self.market = market
        self.clock = clock
        self.round_trip_seconds = round_trip_seconds
        self.quirk = {name: quirks.get(name, settings[0]) for name, settings in self.quirks.items()}
        self.faults = Faults()
        self.rates: dict[str, RateJudge] = {}
        self.calls: Counter[str] = Counter()
        self.key_works = True
        self.maintenance = False
        self.on_call: Callable[[str], None] = _nobody

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """The channel's own table for a shop file that talks to this emulator; secrets as SecretStr."""

    def called(self, operation: str) -> None:
        """Count a call that reached the mall, and tell who watches."""
        self.calls[operation] += 1
        self.on_call(operation)

    def settle(self) -> None:  # noqa: B027  # most malls apply at once
        """Do the mall's own background work that is due by now (import of uploaded files)."""

    @property
    def violations(self) -> int:
        """Calls beyond the documented rates so far."""
        return sum(rate.violations for rate in self.rates.values())


class HttpEmulator(Emulator):
    """An emulator over HTTP. `app` is its ASGI app; mount it in process or serve it."""

    def __init__(
        self, world: World, market: Market, clock: Clock, *, round_trip_seconds: float = 0.0, **quirks: str
    ) -> None:
        super().__init__(world, market, clock, round_trip_seconds=round_trip_seconds, **quirks)
        self._under_way: set[asyncio.Future[None]] = set()
        self.app: ASGIApp = Starlette(routes=self.routes())

    @abstractmethod
    def routes(self) -> list[Route]:
        """The channel's paths, each handler wrapped by `operation`."""

    @abstractmethod
    def throttled(self, operation: str, wait_seconds: float) -> Response:
        """The channel's answer to a call beyond its rate."""

    def told_time(self) -> datetime:
        """The mall's own clock."""
        return self.world.now() + self.market.skew

    def unauthorized(self, request: Request) -> Response | None:
        """The channel's answer to a bad key, or None when the key holds."""
        return None

    def closed(self) -> Response:
        """The channel's answer in maintenance."""
        return PlainTextResponse("maintenance", status_code=503)

    def operation(self, name: str, handler: Handler) -> Handler:
        """Wrap a handler: round trip, faults, key, rate; then the channel's own answer."""

        async def run(request: Request) -> Response:
            self.called(name)
            fault = self.faults.take(name)
            sent = None if fault is None else self.market.sent_now()
            if self.round_trip_seconds:
                await self.clock.sleep(self.round_trip_seconds / 2)
            answer = await self._before(name, request, fault, handler) or await self._do(request, handler, sent)
            answer = self._after(answer, fault)
            if self.round_trip_seconds:
                await self.clock.sleep(self.round_trip_seconds / 2)
            return answer

        return run

    async def _do(self, request: Request, handler: Handler, sent: Sent | None) -> Response:
        """The channel's own answer. A call held up on its way is judged by what was read before it was sent."""
        if sent is None:
            return await handler(request)
        await request.body()  # no await may come between here and the effect
        held_up = self.world.now() - sent.at > timedelta(seconds=self.round_trip_seconds)
        self.market.sent = sent if held_up else None
        try:
            return await handler(request)
        finally:
            self.market.sent = None

    async def _later(self, request: Request, handler: Handler, sent: Sent, seconds: float) -> None:
        await self.clock.sleep(seconds)
        if self.unauthorized(request) is None and not self.maintenance:
            await self._do(request, handler, sent)

    async def _before(self, name: str, request: Request, fault: Fault | None, handler: Handler) -> Response | None:
        if fault is not None and fault.kind is FaultKind.LATE:
            await request.body()
            task = asyncio.ensure_future(self._later(request, handler, self.market.sent_now(), fault.seconds))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            raise ConnectionLost
        if fault is not None:
            if fault.kind is FaultKind.LATENCY:
                await self.clock.sleep(fault.seconds)
            elif fault.kind is FaultKind.STATUS:
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                return PlainTextResponse("fault", status_code=fault.status, headers=headers)
            elif fault.kind is FaultKind.LOST_BEFORE:
                raise ConnectionLost
            elif fault.kind is FaultKind.GARBAGE:
                return _page()
        if self.maintenance:
            return self.closed()
        refused = self.unauthorized(request)
        if refused is not None:
            return refused
        rate = self.rates.get(name)
        if rate is not None:
            now = self.clock.monotonic()
            if not rate.admit(now):
                return self.throttled(name, rate.wait_seconds(now))
        return None

    def _after(self, answer: Response, fault: Fault | None) -> Response:
        if fault is None:
            return answer
        if fault.kind is FaultKind.LOST_AFTER:
            raise ConnectionLost
        if fault.kind is FaultKind.GARBAGE_AFTER:
            return _page()
        spoil = SPOILT.get(fault.kind)
        if spoil is None:
            return answer
        return Response(
            spoil(bytes(answer.body)), answer.status_code, media_type=answer.media_type or "application/json"
        )


def _misspelt(body: bytes) -> bytes:
    """Two bytes that neither UTF-8 nor Shift_JIS has, inside the first quoted text or in the middle."""
    at = body.find(b'"') + 1 or len(body) // 2
    return body[:at] + b"\x81\x20" + body[at:] if body else body


SPOILT: Mapping[FaultKind, Callable[[bytes], bytes]] = {
    FaultKind.CUT_OFF: lambda body: body[: len(body) // 2],
    FaultKind.HUGE: lambda body: body + b" " * HUGE_BYTES,
    FaultKind.WRONG_ENCODING: _misspelt,
}


def _nobody(operation: str) -> None:
    """Nobody watches."""


def _page() -> Response:
    return Response("<html><body>Only a moment, please</body></html>", 200, media_type="text/html")


class EmulatorTransport(httpx.AsyncBaseTransport):
    """An httpx transport straight into an emulator, no socket; a lost connection is a ReadError.

    Every answer bears the mall's own time, as a web server's does; `now` gives it. The request is sent and the answer
    received whole: an emulator streams neither, and httpx's own ASGI transport spends more on that than the emulator
    on its answer.
    """

    def __init__(self, app: ASGIApp, now: Callable[[], datetime] | None = None) -> None:
        self._app = app
        self._now = now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(await request.aread())
        try:
            await self._app(_scope(request), exchange.receive, exchange.send)
        except ConnectionLost:
            raise httpx.ReadError("connection lost", request=request) from None
        answer = exchange.answer()
        if self._now is not None:
            answer.headers["date"] = format_datetime(self._now(), usegmt=True)
        return answer


@dataclass(slots=True)
class _Exchange:
    """One request and its answer, as ASGI messages."""

    asked: bytes
    read: bool = False
    start: Message | None = None
    body: list[bytes] = field(default_factory=list)
    ended: bool = False

    async def receive(self) -> Message:
        if self.read:
            return {"type": "http.disconnect"}
        self.read = True
        return {"type": "http.request", "body": self.asked, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body.append(message.get("body", b""))
        self.ended = not message.get("more_body", False)

    def answer(self) -> httpx.Response:
        if self.start is None or not self.ended:
            raise RuntimeError("the emulator did not end its answer")
        return httpx.Response(self.start["status"], headers=self.start.get("headers", []), stream=_Body(self.body))


class _Body(httpx.AsyncByteStream):
    """The answer's body, read by the client as it reads one from a socket."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"".join(self._parts)


def _scope(request: httpx.Request) -> Scope:
    url = request.url
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw], "scheme": url.scheme,
        "path": url.path, "raw_path": url.raw_path.split(b"?")[0], "query_string": url.query,
        "server": (url.host, url.port), "client": ("127.0.0.1", 123), "root_path": "",
    }  # fmt: skip


def on_sockets(app: ASGIApp) -> ASGIApp:
    """The app for a real server: a lost connection becomes a bare 500 (a server cannot hang up in ASGI)."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ConnectionLost:
            await PlainTextResponse("", status_code=500)(scope, receive, send)

    return run
