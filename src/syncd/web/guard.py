"""The door of the HTTP side: which host names are answered, who may ask, and how much they may send.

A page in a browser can make its own name point at 127.0.0.1 (DNS rebinding) and then talk to us; what it cannot do
is send another Host header. So only our own names are answered.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncd.web.context import TokenVerifier

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "in-process"})
"""Names that lead to this machine alone; the CLI calls the application without a socket as `in-process`."""
BODY_BYTES = 32 * 1024 * 1024
API = "/api/"


class Guard:
    """Wraps the application; answers by itself what must not get in."""

    def __init__(self, app: ASGIApp, token: TokenVerifier, host: str, hosts: Iterable[str] = ()) -> None:
        self.app = app
        self.token = token
        self.names = LOOPBACK_NAMES | {host.strip("[]").lower()} | {name.strip("[]").lower() for name in hosts}
        self.any_address = is_wildcard(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        if not self.knows(headers.get(b"host", b"").decode("latin-1")):
            text = "unknown Host header; use the address syncd listens on"
            await refuse(send, 421, text)
        elif scope["path"].startswith(API) and not self._may_ask(headers.get(b"authorization", b"")):
            text = "a valid bearer token is needed; it lies in admin.token in the state folder"
            await refuse(send, 401, text, (b"www-authenticate", b'Bearer realm="syncd"'))
        elif not self._fits(headers.get(b"content-length", b"0")):
            await refuse(send, 413, f"the body is larger than {BODY_BYTES} bytes; send it in parts")
        else:
            await self.app(scope, _limited(receive), send)

    def knows(self, host: str) -> bool:
        """Whether a Host header names us. A numeric address is no name that could be rebound."""
        name = host_of(host)
        if name in self.names:
            return True
        return self.any_address and is_address(name)

    def _may_ask(self, header: bytes) -> bool:
        scheme, _, token = header.decode("latin-1").partition(" ")
        return scheme.lower() == "bearer" and self.token.accepts(token.strip())

    @staticmethod
    def _fits(length: bytes) -> bool:
        return not length.isdigit() or int(length) <= BODY_BYTES


def _limited(receive: Receive) -> Receive:
    """Counts what really arrives: a chunked body names no length."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_BYTES} bytes; send it in parts")
        return message

    return counted


async def refuse(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer an error without asking the application."""
    body = json.dumps({"error": text}).encode()
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def is_address(name: str) -> bool:
    """Whether a host is a numeric address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_wildcard(host: str) -> bool:
    """Whether an address means every interface."""
    name = host.strip("[]")
    return name == "" or (is_address(name) and ipaddress.ip_address(name).is_unspecified)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    name = host.strip("[]").lower()
    return name == "localhost" or (is_address(name) and ipaddress.ip_address(name).is_loopback)
