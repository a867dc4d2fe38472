"""One call of the Admin GraphQL API: token, cost in points, and every kind of error classed by what to do next.

HTTP 200 says nothing: `errors` is looked at first, then the data; `userErrors` are the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from syncd.clock import Clock
from syncd.sdk.errors import BrokenAnswer, CallRefused, InDoubt, SignInRequired, Throttled, Unavailable
from syncd.sdk.http import HttpClient, read_json, shown
from syncd_shopify.documents import Document
from syncd_shopify.settings import ShopifySettings
from syncd_shopify.tokens import Tokens
from syncd_shopify.wire import Cost, Failure, read_cost, read_failures

OPERATION = "graphql"
VERSION_HEADER = "X-Shopify-API-Version"
TOKEN_HEADER = "X-Shopify-Access-Token"  # noqa: S105  # a header's name
MOST_POINTS = 1000.0  # one query costs no more
SECURITY_PAUSE_SECONDS = 300.0
PERSON_STATUSES = {
    402: "the shop is frozen (unpaid)",
    403: "access refused",
    404: "no such shop or API version",
    423: "the shop is locked",
}
PERSON_CODES = frozenset({"ACCESS_DENIED", "SHOP_INACTIVE", "FORBIDDEN", "UNAUTHORIZED"})
REFUSED_CODES = frozenset({"BAD_REQUEST", "INVALID_FIELD_ARGUMENTS", "INVALID_VARIABLE", "MAX_INPUT_SIZE_EXCEEDED"})


class TooCostly(CallRefused):
    """One query above the highest cost: ask for less at once. Nothing was run."""


class AdminApi:
    """Sends documents. Learns what each costs from the answers and asks the budget for that much next time."""

    def __init__(self, settings: ShopifySettings, http: HttpClient, clock: Clock) -> None:
        self._path = f"/admin/api/{settings.api_version}/graphql.json"
        self._http = http
        self._tokens = Tokens(settings, http, clock)
        self._costs: dict[str, float] = {}
        self.served_version: str | None = None

    async def run(self, document: Document, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The `data` of an answer. A fresh token is tried once after a 401, then SignInRequired.

        Raises TooCostly where smaller pages are needed, CallRefused for a mutation that was refused before it
        ran, and else what the core knows.
        """
        token = await self._tokens.current()
        answer = await self._post(document, variables, token.get_secret_value())
        if answer.status_code == 401 and self._tokens.renewable:
            token = await self._tokens.current(refused=token)
            answer = await self._post(document, variables, token.get_secret_value())
        self._raise_for_status(answer, document)
        self.served_version = answer.headers.get(VERSION_HEADER)
        body = read_json(answer, document.name)
        if not isinstance(body, Mapping):
            raise BrokenAnswer(f"{document.name}: the answer is no object")
        cost = read_cost(body)
        self._feed(document, cost)
        failures = read_failures(body)
        if failures:
            self._raise_for_failures(failures, document, cost)
        data = body.get("data")
        if not isinstance(data, Mapping):
            raise BrokenAnswer(f"{document.name}: neither data nor errors")
        return data

    async def _post(self, document: Document, variables: Mapping[str, Any], token: str) -> httpx.Response:
        return await self._http.send(
            OPERATION,
            "POST",
            self._path,
            json={"query": document.text, "operationName": document.name, "variables": variables},
            headers={TOKEN_HEADER: token, "Accept": "application/json"},
            effect=document.effect,
            cost=min(MOST_POINTS, self._costs.get(document.name, document.cost)),
            accept=lambda status: status < 500 and status != 429,
        )

    def _feed(self, document: Document, cost: Cost | None) -> None:
        if cost is None:
            return
        self._costs[document.name] = max(1.0, cost.requested)
        if cost.available is not None:
            self._http.limiter.feed(
                OPERATION, available=cost.available, per_second=cost.restore_rate, burst=cost.maximum
            )

    def _raise_for_status(self, answer: httpx.Response, document: Document) -> None:
        status = answer.status_code
        if status == 200:
            return
        text = f"{document.name}: {status}"
        if status == 401:
            raise SignInRequired(f"{text}: Shopify refuses the access token")
        if status in PERSON_STATUSES:
            raise SignInRequired(f"{text}: {PERSON_STATUSES[status]}; {shown(answer.text)}")
        if status == 430:
            self._http.limiter.throttled(OPERATION, SECURITY_PAUSE_SECONDS)
            raise Throttled(f"{text}: held back as a security risk", after_seconds=SECURITY_PAUSE_SECONDS)
        if document.effect and status in (400, 406, 413, 415, 422):
            raise CallRefused(f"{text}: {shown(answer.text)}")
        raise BrokenAnswer(f"{text}: {shown(answer.text)}")

    def _raise_for_failures(self, failures: tuple[Failure, ...], document: Document, cost: Cost | None) -> None:
        codes = {failure.code for failure in failures}
        text = f"{document.name}: " + shown("; ".join(f"{one.code} {one.message}" for one in failures))
        if "THROTTLED" in codes:
            after = None if cost is None else cost.wait_seconds
            self._http.limiter.throttled(OPERATION, after)
            raise Throttled(text, after_seconds=after)
        if "MAX_COST_EXCEEDED" in codes:
            raise TooCostly(text)
        if codes & PERSON_CODES:
            raise SignInRequired(text)
        # Codes of the validator begin with a small letter: undefinedField, argumentNotAccepted. Nothing has run then.
        if all(code in REFUSED_CODES or code[:1].islower() for code in codes):
            raise (CallRefused if document.effect else BrokenAnswer)(text)
        if document.effect:
            raise InDoubt(text)
        raise (Unavailable if "INTERNAL_SERVER_ERROR" in codes or "TIMEOUT" in codes else BrokenAnswer)(text)

    async def aclose(self) -> None:
        await self._http.aclose()
