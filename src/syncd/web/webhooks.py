"""The second door: pushes of malls and nothing else, made to stand behind a proxy that ends TLS.

    POST /webhooks/<shop>    200 taken (or a repeat, or a shop at rest)   401 its signature does not hold
                             404 no such shop                              413 over 1 MiB   429 too many   5xx try again

The body is handed on as it came: signatures are over its bytes. Who asks is known by the signature alone, so neither
the Host header nor any forwarding header is believed or needed.
"""

from __future__ import annotations

import math
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from syncd.clock import Clock
from syncd.daemon.hooks import HookOutcome, Hooks
from syncd.sdk.channel import Webhook
from syncd.web.guard import refuse

PATH = re.compile(r"/webhooks/([a-z0-9][a-z0-9-]{0,62})")
BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10.0
BODIES_AT_ONCE = 32
STATUS = {
    HookOutcome.TAKEN: (200, ""),
    HookOutcome.REPEATED: (200, ""),
    HookOutcome.IDLE: (200, ""),
    HookOutcome.FORGED: (401, "the signature does not hold"),
    HookOutcome.FAILED: (500, "it could not be read"),
    HookOutcome.THROTTLED: (429, "too many"),
    HookOutcome.TOO_LARGE: (413, "the body is larger than 1 MiB"),
    HookOutcome.CUT_OFF: (408, "the body did not arrive"),
}


class _TooLarge(Exception):
    """More bytes than a push may have."""


class _CutOff(Exception):
    """The sender went away in the middle."""


def build_webhooks(hooks: Hooks, clock: Clock) -> ASGIApp:
    """The application behind `listen_webhooks`."""
    return WebhookDoor(hooks, clock)


class WebhookDoor:
    """Bounds what a stranger can make us hold: sizes, times, how many at once. Everything else is the shop's own."""

    def __init__(self, hooks: Hooks, clock: Clock) -> None:
        self.hooks = hooks
        self.clock = clock
        self.reading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        found = PATH.fullmatch(scope["path"])
        if found is None or not self.hooks.knows(found[1]):
            await refuse(send, 404, "there is nothing here")
        elif scope["method"] != "POST":
            await refuse(send, 405, "only POST", (b"allow", b"POST"))
        elif self.reading >= BODIES_AT_ONCE:
            await refuse(send, 503, "too many at once", (b"retry-after", b"1"))
        else:
            await self._serve(found[1], scope, receive, send)

    async def _serve(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        wait = self.hooks.wait_seconds(name)
        if wait > 0:
            self.hooks.count(name, HookOutcome.THROTTLED)
            await refuse(send, 429, "too many", (b"retry-after", str(math.ceil(wait)).encode()))
            return
        outcome = await self._taken(name, scope, receive)
        self.hooks.count(name, outcome)
        status, text = STATUS[outcome]
        if status == 200:
            await _ok(send, self.hooks.reply(name))
        else:
            await refuse(send, status, text)

    async def _taken(self, name: str, scope: Scope, receive: Receive) -> HookOutcome:
        headers = _headers(scope)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > BODY_BYTES:
            return HookOutcome.TOO_LARGE
        self.reading += 1
        try:
            with self.clock.limit(BODY_SECONDS):
                body = await _read(receive)
        except _TooLarge:
            return HookOutcome.TOO_LARGE
        except (TimeoutError, _CutOff):
            return HookOutcome.CUT_OFF
        finally:
            self.reading -= 1
        return await self.hooks.take(name, Webhook(headers, body))


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _CutOff
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _headers(scope: Scope) -> dict[str, str]:
    """Names in lower case; a header given twice is one line, as HTTP reads it."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _ok(send: Send, reply: str) -> None:
    """The 200 that a shop wants: empty, or the XML by which it knows that the push was taken."""
    body = reply.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", b"text/xml; charset=utf-8"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
