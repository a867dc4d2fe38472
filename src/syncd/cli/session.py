"""One way to the admin API for every command: over HTTP to the running daemon, or in this process when none runs.

A daemon runs if the lock file beside the store names a process and the listen address answers to our token. Else
the store is opened here, under the same lock, and the same ASGI app is called without a socket.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from syncd import __version__
from syncd.cli.doors import Doors
from syncd.cli.refusal import EX_CONFIG, Refused
from syncd.config import Config, admin_token
from syncd.sdk.settings import SecretError

DATABASE = "syncd.sqlite"
PAGE = 500
CONNECT_SECONDS = 2.0
PROBE_SECONDS = 10.0
ANSWER_SECONDS = 900.0
"""A full import of a large catalogue is one request and one transaction."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where it listens, not where we do


class Session:
    """Requests of the admin API. Connects at the first one; `aclose` lets go, and the next one connects again."""

    def __init__(self, config: Config, doors: Doors) -> None:
        self.config = config
        self._doors = doors
        self._open = AsyncExitStack()
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str, **params: Any) -> Any:
        """The answer's document. Raises Refused with the API's sentence."""
        given = {key: value for key, value in params.items() if value is not None and value is not False}
        return await self._ask("GET", path, params=given)

    async def post(self, path: str, body: Any = None) -> Any:
        """Ask for a change. Raises Refused; when the answer got lost, that says so."""
        return await self._ask("POST", path, json={} if body is None else body)

    async def put(self, path: str, body: Any) -> Any:
        return await self._ask("PUT", path, json=body)

    async def pages(self, path: str, **params: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """All items of a list, page by page."""
        after = None
        while True:
            page = await self.get(path, after=after, limit=PAGE, **params)
            yield page["items"]
            after = page.get("next")
            if after is None:
                return

    async def some(self, path: str, limit: int, **params: Any) -> dict[str, Any]:
        """The first `limit` items of a list (0: all) and the cursor behind them."""
        items: list[dict[str, Any]] = []
        after = None
        while True:
            page = await self.get(path, after=after, limit=min(PAGE, limit - len(items)) if limit else PAGE, **params)
            items += page["items"]
            after = page.get("next")
            if after is None or (limit and len(items) >= limit):
                return {"items": items, "next": after}

    async def aclose(self) -> None:
        """Close the connection, or the store; another process may have it then."""
        self._client = None
        await self._open.aclose()

    async def _ask(self, method: str, path: str, **content: Any) -> Any:
        client = self._client or await self._connect()
        try:
            answer = await client.request(method, f"api/v1{path}", **content)
        except httpx.HTTPError as error:
            told = f"the daemon at {client.base_url.host} stopped answering ({type(error).__name__})"
            if method != "GET":
                told += "; whether the change was made is not known: look before you repeat it"
            raise Refused(told) from None
        if not answer.is_success:
            _refuse(answer)
        return _document(answer)

    async def _connect(self) -> httpx.AsyncClient:
        try:
            self._client = await self._daemon() or await self._in_process()
        except SecretError as error:
            raise Refused(f"the admin token cannot be read: {error}", code=EX_CONFIG) from None
        except PermissionError as error:
            told = f"{error.filename or self.config.settings.state_dir}: {error.strerror}; run it as the daemon's user"
            raise Refused(f"{told}, e.g. with sudo") from None
        return self._client

    async def _daemon(self) -> httpx.AsyncClient | None:
        """A client of the running daemon, or None. No token is shown to anybody while no daemon seems to run."""
        settings = self.config.settings
        try:
            holder = (settings.state_dir / f"{DATABASE}.lock").read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        token = admin_token(settings) if holder else None
        if token is None:
            return None
        host, port = settings.address
        host = EVERYWHERE.get(host, host)
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        client = await self._client_of(url, token.get_secret_value(), self._doors.network)
        try:
            answer = await client.get("api/v1/plugins", timeout=PROBE_SECONDS)
        except httpx.HTTPError:
            answer = None
        if answer is not None and answer.status_code == httpx.codes.OK:
            return client
        await self._open.aclose()
        return None

    async def _in_process(self) -> httpx.AsyncClient:
        from syncd.store.engine import StoreError
        from syncd.store.lock import LockHeld

        try:
            app, token = await self._open.enter_async_context(self._doors.offline(self.config))
        except StoreError as error:
            if not isinstance(error.__cause__, LockHeld):
                raise Refused(str(error)) from None
            settings = self.config.settings
            raise Refused(
                f"a daemon has the store in {settings.state_dir} open, but no admin API answers at {settings.listen} "
                "with our token. Is it starting, or was `listen` changed since? See: journalctl -u syncd"
            ) from None
        return await self._client_of("http://localhost", token, httpx.ASGITransport(app=app))

    async def _client_of(self, url: str, token: str, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=url,
            transport=transport,
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": f"syncd-cli/{__version__}",
                "Syncd-User": _user(),
            },
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,  # the way to loopback never leads through a proxy
        )
        return await self._open.enter_async_context(client)


def _user() -> str:
    """Who is at the keyboard, for the audit trail."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        name = str(os.getuid())
    return f"cli {name}".encode("ascii", "replace").decode()[:64]


def part(text: str) -> str:
    """A listing key or an order number as one part of a path."""
    return quote(text, safe="")


def _refuse(answer: httpx.Response) -> NoReturn:
    body = _json(answer)
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        raise Refused(
            f"the admin API answered {answer.status_code}; the daemon's log says why", status=answer.status_code
        )
    where = body.get("where")
    mistakes = [(str(one["where"]), str(one["error"])) for one in body.get("mistakes") or ()]
    where = None if where is None else str(where)
    raise Refused(body["error"], where=where, status=answer.status_code, mistakes=mistakes)


def _document(answer: httpx.Response) -> Any:
    body = _json(answer)
    if body is None:
        raise Refused(f"the admin API answered {answer.status_code} without JSON; is another program at this address?")
    return body


def _json(answer: httpx.Response) -> Any:
    if answer.status_code == httpx.codes.NO_CONTENT:
        return {}
    try:
        return answer.json()
    except ValueError:
        return None
