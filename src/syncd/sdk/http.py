"""The HTTP client of a shop: budget before the first byte, errors classed, answers capped, secrets kept out.

A plugin opens it with `context.http(base_url, …)` and names the operation of each call; the rate budget of
that operation is waited for inside `send`. Redirects are off: a token must not follow one.
"""

from __future__ import annotations

import json as jsonlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import httpx

from syncd.clock import Clock
from syncd.model import to_us
from syncd.sdk.errors import BrokenAnswer, InDoubt, SignInRequired, Throttled, Unavailable

MAX_ANSWER_BYTES = 32 * 1024 * 1024
SHOWN_CHARACTERS = 256
MOST_URLS = 256

logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO lines hold whole addresses, and a few carry a key


class Limiter(Protocol):
    """The core's rate budgets as a client sees them."""

    async def acquire(self, operation: str, cost: float) -> None:
        """Return when the call may leave. A waiting stockout overtakes here."""

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        """Take over what the answer says of the budget, as far as told: units left, refill and bucket size."""

    def throttled(self, operation: str, after_seconds: float | None) -> None:
        """The shop refused for speed: nothing of this operation leaves until then."""

    def spare(self, operation: str) -> float:
        """Units that may leave at once now; without end where no budget is declared."""


class NoLimit:
    """A limiter for tests and one-off calls: never waits."""

    async def acquire(self, operation: str, cost: float) -> None:
        return None

    def feed(self, operation: str, *, available: float | None, per_second: float | None, burst: float | None) -> None:
        return None

    def throttled(self, operation: str, after_seconds: float | None) -> None:
        return None

    def spare(self, operation: str) -> float:
        return math.inf


class Observer(Protocol):
    """Told of every call: for metrics and for the shop's clock skew."""

    def __call__(self, *, operation: str, outcome: str, seconds: float, skew_us: int | None) -> None: ...


def ignore(*, operation: str, outcome: str, seconds: float, skew_us: int | None) -> None:
    """An observer that keeps nothing."""


class SparingCookies(httpx.Cookies):
    """A client's cookies, looked for only in an answer that sets one: to find none costs httpx a request of its own."""

    def extract_cookies(self, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class HttpOpener(Protocol):
    """Opens the shop's client. `headers` may hold the key; they are never logged."""

    def __call__(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> HttpClient: ...


@dataclass(slots=True)
class HttpClient:
    """One shop's client. Use `send`; it raises only `ChannelError`s (and cancellation)."""

    client: httpx.AsyncClient
    clock: Clock
    limiter: Limiter = field(default_factory=NoLimit)
    observer: Observer = ignore
    timeout_seconds: float = 30.0
    _urls: dict[str, httpx.URL] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client._cookies = SparingCookies(self.client.cookies)  # noqa: SLF001  # its setter makes plain ones

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        fresh_headers: Callable[[], Mapping[str, str]] | None = None,
        effect: bool = False,
        cost: float = 1.0,
        accept: Callable[[int], bool] = lambda status: status < 500 and status not in (401, 429),
    ) -> httpx.Response:
        """Make one call and return its answer, read whole.

        `effect` says that the call changes the shop: then a lost answer or a 5xx is InDoubt, else
        Unavailable. Statuses for which `accept` is true are returned for the plugin to read; of the others
        429 is Throttled, 401 is SignInRequired, the rest Unavailable or InDoubt. `fresh_headers` is asked once the
        budget was waited for: for a signature that holds a time.
        """
        await self.limiter.acquire(operation, cost)
        if fresh_headers is not None:
            headers = {**(headers or {}), **fresh_headers()}
        began = self.clock.monotonic()
        began_us = self.clock.now_us()
        outcome, skew_us = "error", None
        if json is not None:
            content = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        try:
            with self.clock.limit(self.timeout_seconds):
                answer = await self._exchange(method, path, params, content, headers)
            skew_us = _skew(answer, began_us, self.clock.now_us())
            outcome = f"{answer.status_code // 100}xx" if answer.status_code != 429 else "throttled"
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            outcome = "unreachable"
            raise Unavailable(f"{operation}: {type(error).__name__}") from None
        except RuntimeError:
            if not self.client.is_closed:
                raise
            raise Unavailable(f"{operation}: the shop was stopped meanwhile") from None
        except (httpx.TransportError, TimeoutError) as error:
            outcome = "timeout" if isinstance(error, (TimeoutError, httpx.TimeoutException)) else "broken"
            raise self._lost(operation, effect, type(error).__name__) from None
        finally:
            self.observer(operation=operation, outcome=outcome, seconds=self.clock.monotonic() - began, skew_us=skew_us)
        if accept(answer.status_code):
            return answer
        raise self._refused(operation, effect, answer)

    async def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        url = self._urls.get(path, path)
        request = self.client.build_request(method, url, params=params, content=content, headers=headers)
        if not params and len(self._urls) < MOST_URLS:
            self._urls[path] = request.url  # whole: httpx takes an address apart three times to join it to its base
        answer = await self.client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.ReadError("answer too large")
        finally:
            await answer.aclose()
        answer._content = bytes(body)  # noqa: SLF001  # httpx keeps a read answer there; the stream was capped
        return answer

    @staticmethod
    def _lost(operation: str, effect: bool, what: str) -> InDoubt | Unavailable:
        return (InDoubt if effect else Unavailable)(f"{operation}: {what}")

    def _refused(self, operation: str, effect: bool, answer: httpx.Response) -> Exception:
        status = answer.status_code
        if status == 429:
            after = retry_after(answer)
            self.limiter.throttled(operation, after)
            return Throttled(f"{operation}: 429", after_seconds=after)
        if status == 401:
            return SignInRequired(f"{operation}: 401 {shown(answer.text)}")
        return self._lost(operation, effect, f"{status} {shown(answer.text)}")

    async def aclose(self) -> None:
        await self.client.aclose()


def read_json(answer: httpx.Response, operation: str) -> Any:
    """The JSON body of an answer. Raises BrokenAnswer for anything else, an HTML page above all."""
    kind = answer.headers.get("content-type", "")
    if "json" not in kind:
        raise BrokenAnswer(f"{operation}: {answer.status_code} with {kind or 'no content type'}, not JSON")
    try:
        return jsonlib.loads(answer.content)
    except ValueError as error:
        told = type(error).__name__
    # Raised out here: the error above holds the whole answer, a token's too, and would hang on this one as its context.
    raise BrokenAnswer(f"{operation}: JSON cut off or malformed ({told})")


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, if it is a plain number."""
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return None


def shown(text: str) -> str:
    """Text of an answer cut for a log or an error."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _skew(answer: httpx.Response, began_us: int, ended_us: int) -> int | None:
    """How far the shop's Date header lies outside our request, 0 where it fits its one-second grain."""
    try:
        told = to_us(parsedate_to_datetime(answer.headers["date"]))
    except (KeyError, ValueError, TypeError):
        return None
    if told > ended_us:
        return told - ended_us
    if told + 999_999 < began_us:
        return told + 999_999 - began_us
    return 0
